// Command client asks a harbour who is there, and lets ships arrive and leave.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"example.org/harbour/harbour"
	"github.com/spf13/cobra"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

func main() {
	server := "http://localhost:8080"
	root := &cobra.Command{Use: "client", Short: "Speak to a harbour", SilenceUsage: true}
	root.PersistentFlags().StringVar(&server, "server", server, "the harbour's address")
	root.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Who is there", Args: cobra.NoArgs,
			RunE: func(command *cobra.Command, _ []string) error {
				var ships []harbour.Ship
				if err := call(http.MethodGet, server+"/ships", &ships); err != nil {
					return err
				}
				title := cases.Title(language.English)
				for _, ship := range ships {
					fmt.Fprintf(command.OutOrStdout(), "%s  %s\n", ship.ID, title.String(ship.Name))
				}
				return nil
			},
		},
		&cobra.Command{
			Use: "arrive NAME", Short: "Let a ship arrive", Args: cobra.ExactArgs(1),
			RunE: func(command *cobra.Command, names []string) error {
				var ship harbour.Ship
				if err := call(http.MethodPut, server+"/ships/"+url.PathEscape(names[0]), &ship); err != nil {
					return err
				}
				fmt.Fprintln(command.OutOrStdout(), ship.ID)
				return nil
			},
		},
		&cobra.Command{
			Use: "leave ID", Short: "Let a ship leave", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, ids []string) error {
				return call(http.MethodDelete, server+"/ships/"+url.PathEscape(ids[0]), nil)
			},
		},
	)
	if root.Execute() != nil {
		os.Exit(1)
	}
}

// call sends a request and reads the answer into body, if there is to be one.
func call(method, address string, body any) error {
	request, err := http.NewRequest(method, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("the harbour says: %s", strings.TrimSpace(string(text)))
	}
	if body == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(body)
}
