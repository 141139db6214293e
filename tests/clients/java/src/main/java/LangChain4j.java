import com.fasterxml.jackson.databind.ObjectMapper;
import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.HttpException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** LangChain4j, whose default HTTP client is that of the JDK. */
public final class LangChain4j {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final String url;

    private LangChain4j(String url) {
        this.url = url;
    }

    public static void main(String[] arguments) throws Exception {
        new LangChain4j(arguments[1]).run(arguments[0]).print();
        System.exit(0);
    }

    private Seen run(String name) throws Exception {
        try {
            return switch (name) {
                case "whole" -> whole("fast", "Count.");
                case "stream" -> stream("slow");
                case "cut" -> stream("cut");
                case "tools" -> tools();
                case "refused" -> stream("limited");
                case "unknown" -> stream("nothing");
                case "large" -> whole("fast", Seen.LARGE);
                default -> throw new IllegalArgumentException(name);
            };
        } catch (CompletionException | dev.langchain4j.exception.LangChain4jException error) {
            return failure(error);
        }
    }

    private Seen whole(String model, String text) {
        OpenAiChatModel chat = OpenAiChatModel.builder().baseUrl(url).apiKey("none").modelName(model).build();
        return answer(chat.chat(UserMessage.from(text)));
    }

    private Seen stream(String model) throws Exception {
        List<String> pieces = new ArrayList<>();
        ChatRequest question = ChatRequest.builder().messages(UserMessage.from("Count.")).build();
        try {
            Seen seen = answer(streamed(model, question, pieces));
            seen.put("pieces", pieces);
            return seen;
        } catch (CompletionException error) {
            Seen failure = failure(error);
            return pieces.isEmpty() ? failure : Seen.of("pieces", pieces, "error", failure);
        }
    }

    private Seen tools() {
        List<ToolSpecification> tools = Seen.RESULTS.keySet().stream()
                .map(name -> ToolSpecification.builder()
                        .name(name)
                        .parameters(JsonObjectSchema.builder().build())
                        .build())
                .toList();
        List<ChatMessage> messages = new ArrayList<>(List.of(UserMessage.from("Weather in Paris, and the time?")));
        ChatRequest.Builder question = ChatRequest.builder().toolSpecifications(tools);
        ChatResponse asked = streamed("tools", question.messages(messages).build(), new ArrayList<>());
        messages.add(asked.aiMessage());
        List<Object> calls = new ArrayList<>();
        for (ToolExecutionRequest call : asked.aiMessage().toolExecutionRequests()) {
            calls.add(Seen.call(call.id(), call.name(), call.arguments()));
            messages.add(ToolExecutionResultMessage.from(call, Seen.RESULTS.get(call.name())));
        }
        ChatRequest results = ChatRequest.builder().toolSpecifications(tools).messages(messages).build();
        return Seen.of(
                "calls", calls,
                "finish", "tool_calls",
                "text", streamed("tools", results, new ArrayList<>()).aiMessage().text());
    }

    private ChatResponse streamed(String model, ChatRequest question, List<String> pieces) {
        OpenAiStreamingChatModel chat =
                OpenAiStreamingChatModel.builder().baseUrl(url).apiKey("none").modelName(model).build();
        CompletableFuture<ChatResponse> response = new CompletableFuture<>();
        chat.chat(question, new StreamingChatResponseHandler() {
            @Override
            public void onPartialResponse(String piece) {
                pieces.add(piece);
            }

            @Override
            public void onCompleteResponse(ChatResponse whole) {
                response.complete(whole);
            }

            @Override
            public void onError(Throwable error) {
                response.completeExceptionally(error);
            }
        });
        return response.join();
    }

    private static Seen answer(ChatResponse response) {
        return Seen.of(
                "text", response.aiMessage().text(),
                "finish", response.finishReason().name().toLowerCase(),
                "input", response.tokenUsage().inputTokenCount(),
                "output", response.tokenUsage().outputTokenCount());
    }

    private static Seen failure(Throwable error) throws Exception {
        Throwable cause = error;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        if (cause instanceof HttpException http) {
            return Seen.of("status", http.statusCode(), "code", code(http.getMessage()));
        }
        return String.valueOf(cause.getMessage()).startsWith("{")
                ? Seen.of("code", code(cause.getMessage()))
                : Seen.of("failure", error.toString());
    }

    private static String code(String body) throws Exception {
        return JSON.readTree(body).at("/error/code").textValue();
    }
}
