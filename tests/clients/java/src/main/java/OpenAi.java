import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.errors.OpenAIServiceException;
import com.openai.errors.SseException;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.FunctionDefinition;
import com.openai.models.FunctionParameters;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionMessage;
import com.openai.models.chat.completions.ChatCompletionMessageFunctionToolCall;
import com.openai.models.chat.completions.ChatCompletionMessageToolCall;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.chat.completions.ChatCompletionToolMessageParam;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseStreamEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** OpenAI's Java SDK. */
public final class OpenAi {
    private final OpenAIClient client;

    private OpenAi(String url, int retries) {
        client = OpenAIOkHttpClient.builder().baseUrl(url).apiKey("none").maxRetries(retries).build();
    }

    public static void main(String[] arguments) throws Exception {
        OpenAi openAi = new OpenAi(arguments[1], arguments[0].equals("large") ? 2 : 0);
        openAi.run(arguments[0]).print();
        openAi.client.close();
    }

    private Seen run(String name) {
        try {
            return switch (name) {
                case "whole" -> answer(client.chat().completions().create(question("fast", "Count.").build()));
                case "stream" -> stream("slow");
                case "cut" -> stream("cut");
                case "tools" -> tools();
                case "refused" -> stream("limited");
                case "unknown" -> stream("nothing");
                case "large" -> answer(client.chat().completions().create(question("fast", Seen.LARGE).build()));
                case "responses" -> response();
                default -> throw new IllegalArgumentException(name);
            };
        } catch (OpenAIServiceException error) {
            return failure(error);
        }
    }

    private static ChatCompletionCreateParams.Builder question(String model, String text) {
        return ChatCompletionCreateParams.builder().model(model).addUserMessage(text);
    }

    private Seen stream(String model) {
        ChatCompletionCreateParams params = question(model, "Count.")
                .streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build())
                .build();
        List<String> pieces = new ArrayList<>();
        try {
            Seen seen = answer(accumulated(params, pieces::add));
            seen.put("pieces", pieces);
            return seen;
        } catch (SseException error) {
            return Seen.of("pieces", pieces, "error", Seen.of("code", error.code().orElse(null)));
        }
    }

    private ChatCompletion accumulated(ChatCompletionCreateParams params, Consumer<String> piece) {
        ChatCompletionAccumulator accumulator = ChatCompletionAccumulator.create();
        try (StreamResponse<ChatCompletionChunk> chunks = client.chat().completions().createStreaming(params)) {
            chunks.stream()
                    .peek(accumulator::accumulate)
                    .flatMap(chunk -> chunk.choices().stream())
                    .flatMap(choice -> choice.delta().content().stream())
                    .filter(text -> !text.isEmpty())
                    .forEach(piece);
        }
        return accumulator.chatCompletion();
    }

    private Seen tools() {
        ChatCompletionCreateParams.Builder params = question("tools", "Weather in Paris, and the time?");
        Seen.RESULTS.keySet().forEach(name -> params.addFunctionTool(FunctionDefinition.builder()
                .name(name)
                .parameters(FunctionParameters.builder()
                        .putAdditionalProperty("type", JsonValue.from("object"))
                        .putAdditionalProperty("properties", JsonValue.from(Map.of()))
                        .build())
                .build()));
        ChatCompletion.Choice asked = accumulated(params.build(), piece -> {}).choices().get(0);
        ChatCompletionMessage message = asked.message();
        params.addMessage(message);
        List<Object> calls = new ArrayList<>();
        for (ChatCompletionMessageToolCall each : message.toolCalls().orElseThrow()) {
            ChatCompletionMessageFunctionToolCall call = each.asFunction();
            calls.add(Seen.call(call.id(), call.function().name(), call.function().arguments()));
            params.addMessage(ChatCompletionToolMessageParam.builder()
                    .toolCallId(call.id())
                    .content(Seen.RESULTS.get(call.function().name()))
                    .build());
        }
        ChatCompletion completion = accumulated(params.build(), piece -> {});
        return Seen.of(
                "calls", calls,
                "finish", asked.finishReason().asString(),
                "text", completion.choices().get(0).message().content().orElse(null));
    }

    private Seen response() {
        ResponseCreateParams params = ResponseCreateParams.builder().model("slow").input("Count.").build();
        StringBuilder text = new StringBuilder();
        List<String> endings = new ArrayList<>();
        try (StreamResponse<ResponseStreamEvent> events = client.responses().createStreaming(params)) {
            events.stream().forEach(event -> {
                event.outputTextDelta().ifPresent(delta -> text.append(delta.delta()));
                event.completed().ifPresent(completed -> endings.add("response.completed"));
            });
        }
        return Seen.of("text", text.toString(), "last", String.join(" ", endings));
    }

    private static Seen answer(ChatCompletion completion) {
        ChatCompletion.Choice choice = completion.choices().get(0);
        return Seen.of(
                "text", choice.message().content().orElse(null),
                "finish", choice.finishReason().asString(),
                "input", completion.usage().orElseThrow().promptTokens(),
                "output", completion.usage().orElseThrow().completionTokens());
    }

    private static Seen failure(OpenAIServiceException error) {
        return Seen.of("status", error.statusCode(), "code", error.code().orElse(null));
    }
}
