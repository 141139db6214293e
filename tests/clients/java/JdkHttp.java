import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Scanner;

/**
 * The HTTP client of the JDK as it is by default: it prefers HTTP/2, so its first request asks for an upgrade to h2c.
 *
 * <p>Reads requests, one a line: METHOD, URL and body, apart by tabs. Sends them one after the other by one client, and
 * prints what came, as one line of JSON each.
 */
public final class JdkHttp {
    private JdkHttp() {}

    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        Scanner requests = new Scanner(System.in, StandardCharsets.UTF_8).useDelimiter("\n");
        while (requests.hasNext()) {
            String[] parts = requests.next().split("\t", 3);
            HttpRequest.BodyPublisher body = parts[2].isEmpty()
                    ? HttpRequest.BodyPublishers.noBody()
                    : HttpRequest.BodyPublishers.ofString(parts[2]);
            HttpRequest request = HttpRequest.newBuilder(URI.create(parts[1]))
                    .header("Content-Type", "application/json")
                    .method(parts[0], body)
                    .build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.printf("{\"status\": %d, \"body\": %s}%n", response.statusCode(), quoted(response.body()));
        }
    }

    private static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char character : text.toCharArray()) {
            json.append(String.format("\\u%04x", (int) character));
        }
        return json.append('"').toString();
    }
}
