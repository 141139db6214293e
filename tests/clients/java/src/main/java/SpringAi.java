import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.springframework.ai.chat.messages.AssistantMessage;
import org.springframework.ai.chat.messages.Message;
import org.springframework.ai.chat.messages.ToolResponseMessage;
import org.springframework.ai.chat.messages.UserMessage;
import org.springframework.ai.chat.metadata.Usage;
import org.springframework.ai.chat.model.ChatResponse;
import org.springframework.ai.chat.model.Generation;
import org.springframework.ai.chat.prompt.Prompt;
import org.springframework.ai.openai.OpenAiChatModel;
import org.springframework.ai.openai.OpenAiChatOptions;
import org.springframework.ai.openai.api.OpenAiApi;
import org.springframework.ai.tool.ToolCallback;
import org.springframework.ai.tool.definition.ToolDefinition;
import org.springframework.web.reactive.function.client.WebClientResponseException;

/** Spring AI, whose default HTTP client is that of the JDK. */
public final class SpringAi {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Pattern STATUS_AND_BODY = Pattern.compile("(?:HTTP )?(\\d{3}) - (.*)", Pattern.DOTALL);

    private final OpenAiApi api;

    private SpringAi(String url) {
        api = OpenAiApi.builder()
                .baseUrl(url)
                .apiKey("none")
                .completionsPath("/chat/completions")
                .build();
    }

    public static void main(String[] arguments) throws Exception {
        new SpringAi(arguments[1]).run(arguments[0]).print();
        System.exit(0);
    }

    private Seen run(String name) throws Exception {
        try {
            return switch (name) {
                case "whole" -> whole("Count.");
                case "stream" -> stream("slow");
                case "cut" -> stream("cut");
                case "tools" -> tools();
                case "refused" -> stream("limited");
                case "unknown" -> stream("nothing");
                case "large" -> whole(Seen.LARGE);
                default -> throw new IllegalArgumentException(name);
            };
        } catch (WebClientResponseException error) {
            return Seen.of("status", error.getStatusCode().value(), "code", code(error.getResponseBodyAsString()));
        } catch (RuntimeException error) {
            Matcher parts = STATUS_AND_BODY.matcher(String.valueOf(error.getMessage()));
            return parts.matches()
                    ? Seen.of("status", Integer.parseInt(parts.group(1)), "code", code(parts.group(2)))
                    : Seen.of("failure", error.toString());
        }
    }

    private OpenAiChatModel chat(String model) {
        List<ToolCallback> tools = model.equals("tools")
                ? Seen.RESULTS.keySet().stream().<ToolCallback>map(Tool::new).toList()
                : List.of();
        OpenAiChatOptions options = OpenAiChatOptions.builder()
                .model(model)
                .streamUsage(true)
                .toolCallbacks(tools)
                .internalToolExecutionEnabled(false)
                .build();
        return OpenAiChatModel.builder().openAiApi(api).defaultOptions(options).build();
    }

    private Seen whole(String text) {
        return answer(List.of(chat("fast").call(new Prompt(text))));
    }

    private Seen stream(String model) {
        List<ChatResponse> parts = chat(model).stream(new Prompt("Count.")).collectList().block();
        Seen seen = answer(parts);
        seen.put("pieces", texts(parts));
        return seen;
    }

    private Seen tools() {
        OpenAiChatModel chat = chat("tools");
        List<Message> messages = new ArrayList<>(List.of(new UserMessage("Weather in Paris, and the time?")));
        List<ChatResponse> asked = chat.stream(new Prompt(messages)).collectList().block();
        List<Object> calls = new ArrayList<>();
        List<ToolResponseMessage.ToolResponse> results = new ArrayList<>();
        for (Generation part : generations(asked)) {
            if (!part.getOutput().hasToolCalls()) {
                continue;
            }
            messages.add(part.getOutput());
            for (AssistantMessage.ToolCall call : part.getOutput().getToolCalls()) {
                calls.add(Seen.call(call.id(), call.name(), call.arguments()));
                results.add(new ToolResponseMessage.ToolResponse(
                        call.id(), call.name(), Seen.RESULTS.get(call.name())));
            }
        }
        messages.add(ToolResponseMessage.builder().responses(results).build());
        List<ChatResponse> told = chat.stream(new Prompt(messages)).collectList().block();
        return Seen.of(
                "calls", calls,
                "finish", answer(asked).get("finish"),
                "text", String.join("", texts(told)));
    }

    private static Seen answer(List<ChatResponse> parts) {
        String finish = String.join("", generations(parts).stream()
                .map(part -> String.valueOf(part.getMetadata().getFinishReason()))
                .toList());
        Usage usage = parts.get(parts.size() - 1).getMetadata().getUsage();
        return Seen.of(
                "text", String.join("", texts(parts)),
                "finish", finish.toLowerCase(),
                "input", usage.getPromptTokens(),
                "output", usage.getCompletionTokens());
    }

    private static List<Generation> generations(List<ChatResponse> parts) {
        return parts.stream().flatMap(part -> part.getResults().stream()).toList();
    }

    private static List<String> texts(List<ChatResponse> parts) {
        return generations(parts).stream()
                .map(part -> part.getOutput().getText())
                .filter(text -> text != null && !text.isEmpty())
                .toList();
    }

    private static String code(String body) throws Exception {
        return JSON.readTree(body).at("/error/code").textValue();
    }

    /** A tool without parameters that Spring AI shall not run itself. */
    private record Tool(String name) implements ToolCallback {
        @Override
        public ToolDefinition getToolDefinition() {
            return ToolDefinition.builder()
                    .name(name)
                    .description(name)
                    .inputSchema("{\"type\": \"object\", \"properties\": {}}")
                    .build();
        }

        @Override
        public String call(String arguments) {
            throw new UnsupportedOperationException();
        }
    }
}
