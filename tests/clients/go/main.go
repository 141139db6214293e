// OpenAI's Go SDK against a pod: main CASE BASE_URL prints what the SDK saw, as one line of JSON.
//
// go.mod pins the newest release; old.mod the last one whose streams fail at an empty line behind a comment.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

type seen map[string]any

const largeBytes = 5 << 20

var results = map[string]string{"weather": "sunny", "clock": "noon"}

func main() {
	client := openai.NewClient(option.WithBaseURL(os.Args[2]), option.WithAPIKey("none"))
	cases := map[string]func(context.Context, openai.Client) seen{
		"whole":     whole,
		"stream":    func(ctx context.Context, client openai.Client) seen { return stream(ctx, client, "slow") },
		"cut":       func(ctx context.Context, client openai.Client) seen { return stream(ctx, client, "cut") },
		"tools":     tools,
		"refused":   func(ctx context.Context, client openai.Client) seen { return refused(ctx, client, "limited") },
		"unknown":   func(ctx context.Context, client openai.Client) seen { return refused(ctx, client, "nothing") },
		"large":     large,
		"responses": streamedResponse,
	}
	line, err := json.Marshal(cases[os.Args[1]](context.Background(), client))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func question(model, text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
	}
}

func whole(ctx context.Context, client openai.Client) seen {
	completion, err := client.Chat.Completions.New(ctx, question("fast", "Count."))
	if err != nil {
		return failure(err)
	}
	return answer(completion)
}

func stream(ctx context.Context, client openai.Client, model string) seen {
	params := question(model, "Count.")
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	pieces := []string{}
	completion, err := accumulate(ctx, client, params, &pieces)
	found := answer(completion)
	found["pieces"] = pieces
	if err != nil {
		found["error"] = failure(err)
	}
	return found
}

func accumulate(
	ctx context.Context, client openai.Client, params openai.ChatCompletionNewParams, pieces *[]string,
) (*openai.ChatCompletion, error) {
	chunks := client.Chat.Completions.NewStreaming(ctx, params)
	defer chunks.Close()
	accumulator := openai.ChatCompletionAccumulator{}
	for chunks.Next() {
		chunk := chunks.Current()
		if !accumulator.AddChunk(chunk) {
			return &accumulator.ChatCompletion, errors.New("the accumulator rejects a chunk: " + chunk.RawJSON())
		}
		for _, choice := range chunk.Choices {
			if choice.Delta.Content != "" {
				*pieces = append(*pieces, choice.Delta.Content)
			}
		}
	}
	return &accumulator.ChatCompletion, chunks.Err()
}

func tools(ctx context.Context, client openai.Client) seen {
	params := question("tools", "Weather in Paris, and the time?")
	for name := range results {
		params.Tools = append(params.Tools, openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name:       name,
			Parameters: shared.FunctionParameters{"type": "object", "properties": map[string]any{}},
		}))
	}
	asked, err := accumulate(ctx, client, params, &[]string{})
	if err != nil {
		return failure(err)
	}
	message := asked.Choices[0].Message
	params.Messages = append(params.Messages, message.ToParam())
	calls := []any{}
	for _, call := range message.ToolCalls {
		calls = append(calls, []string{call.ID, call.Function.Name, call.Function.Arguments})
		params.Messages = append(params.Messages, openai.ToolMessage(results[call.Function.Name], call.ID))
	}
	completion, err := accumulate(ctx, client, params, &[]string{})
	if err != nil {
		return failure(err)
	}
	return seen{
		"calls":  calls,
		"finish": asked.Choices[0].FinishReason,
		"text":   completion.Choices[0].Message.Content,
	}
}

func refused(ctx context.Context, client openai.Client, model string) seen {
	chunks := client.Chat.Completions.NewStreaming(ctx, question(model, "Count."), option.WithMaxRetries(0))
	defer chunks.Close()
	for chunks.Next() {
	}
	return failure(chunks.Err())
}

func large(ctx context.Context, client openai.Client) seen {
	_, err := client.Chat.Completions.New(ctx, question("fast", strings.Repeat("a", largeBytes)))
	return failure(err)
}

func streamedResponse(ctx context.Context, client openai.Client) seen {
	events := client.Responses.NewStreaming(ctx, responses.ResponseNewParams{
		Model: "slow",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Count.")},
	})
	defer events.Close()
	text, types := "", []string{}
	for events.Next() {
		event := events.Current()
		text += event.AsResponseOutputTextDelta().Delta
		types = append(types, event.Type)
	}
	if events.Err() != nil {
		return failure(events.Err())
	}
	return seen{"text": text, "last": types[len(types)-1]}
}

func answer(completion *openai.ChatCompletion) seen {
	if len(completion.Choices) == 0 {
		return seen{}
	}
	return seen{
		"text":   completion.Choices[0].Message.Content,
		"finish": completion.Choices[0].FinishReason,
		"input":  completion.Usage.PromptTokens,
		"output": completion.Usage.CompletionTokens,
	}
}

func failure(err error) seen {
	var status *openai.Error
	var streamed *ssestream.StreamError
	switch {
	case errors.As(err, &status):
		return seen{"status": status.StatusCode, "code": status.Code}
	case errors.As(err, &streamed):
		var event struct{ Error struct{ Code string } }
		_ = json.Unmarshal(streamed.Event.Data, &event)
		return seen{"code": event.Error.Code}
	default:
		return seen{"failure": fmt.Sprint(err)}
	}
}
