// A pod that tells what a pod can reach: GET /?url=… answers with the body behind the URL, or with status 502 and the
// reason. GET / says that it lives; GET /keep?word=… appends the word to a file on the volume and answers with all of it.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

var client = http.Client{Timeout: 3 * time.Second}

func fetch(answer http.ResponseWriter, request *http.Request) {
	url := request.URL.Query().Get("url")
	if url == "" {
		io.WriteString(answer, "alive")
		return
	}
	response, err := client.Get(url)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	io.Copy(answer, response.Body)
}

func keep(answer http.ResponseWriter, request *http.Request) {
	file, err := os.OpenFile("/data/words", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(request.URL.Query().Get("word"))
		file.Close()
	}
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	http.ServeFile(answer, request, "/data/words")
}

func main() {
	http.HandleFunc("/", fetch)
	http.HandleFunc("/keep", keep)
	log.Print("serving")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
