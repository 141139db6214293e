import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a client saw: a document that is printed as one line of JSON; and what the cases have in common. */
final class Seen extends LinkedHashMap<String, Object> {
    static final Map<String, String> RESULTS = Map.of("weather", "sunny", "clock", "noon");
    static final String LARGE = "a".repeat(5 << 20);

    /** ASCII, because the encoding of the output depends on the environment. */
    private static final ObjectMapper JSON = JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    static Seen of(Object... pairs) {
        Seen seen = new Seen();
        for (int at = 0; at < pairs.length; at += 2) {
            seen.put((String) pairs[at], pairs[at + 1]);
        }
        return seen;
    }

    static List<String> call(String id, String name, String arguments) {
        return List.of(id, name, arguments);
    }

    void print() throws Exception {
        System.out.println(JSON.writeValueAsString(this));
    }
}
