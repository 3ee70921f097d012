// Command server is a harbour that ships reach over HTTP.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"time"

	"example.org/harbour/harbour"
	"github.com/gorilla/mux"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

type settings struct {
	Listen string `yaml:"listen"`
	Berths int    `yaml:"berths"`
}

func main() {
	file := pflag.String("settings", "", "file of settings, in YAML")
	pflag.Parse()
	chosen, err := read(*file)
	if err != nil {
		log.Fatalf("cannot read the settings: %v", err)
	}
	log.Printf("a harbour with %d berths, at %s", chosen.Berths, chosen.Listen)
	log.Fatal(http.ListenAndServe(chosen.Listen, routes(harbour.New(chosen.Berths))))
}

func read(file string) (settings, error) {
	chosen := settings{Listen: ":8080", Berths: 12}
	if file == "" {
		return chosen, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return chosen, err
	}
	return chosen, yaml.Unmarshal(text, &chosen)
}

func routes(port *harbour.Harbour) http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/ships", func(out http.ResponseWriter, in *http.Request) {
		answer(out, http.StatusOK, port.Ships())
	}).Methods(http.MethodGet)
	router.HandleFunc("/ships/{name}", func(out http.ResponseWriter, in *http.Request) {
		ship, err := port.Arrive(mux.Vars(in)["name"], time.Now())
		if errors.Is(err, harbour.ErrFull) {
			http.Error(out, err.Error(), http.StatusConflict)
			return
		}
		answer(out, http.StatusCreated, ship)
	}).Methods(http.MethodPut)
	router.HandleFunc("/ships/{id}", func(out http.ResponseWriter, in *http.Request) {
		if err := port.Leave(mux.Vars(in)["id"]); err != nil {
			http.Error(out, err.Error(), http.StatusNotFound)
			return
		}
		out.WriteHeader(http.StatusNoContent)
	}).Methods(http.MethodDelete)
	return router
}

func answer(out http.ResponseWriter, status int, body any) {
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(status)
	if err := json.NewEncoder(out).Encode(body); err != nil {
		log.Printf("cannot answer: %v", err)
	}
}
