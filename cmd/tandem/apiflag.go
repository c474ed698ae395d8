package main

import (
	"os"
	"path/filepath"
	"strings"

	"tandem/provisioning/api/client"
)

// APIFlag is shared by the commands that ask a running node.
type APIFlag struct {
	ConfigFlag
	API   string `help:"Address of the node's API, as in http://127.0.0.1:8080. Without it the one in tandem.yaml." env:"TANDEM_API"`
	Token string `help:"API token. Without it the file api-token in the node's data folder is read." env:"TANDEM_TOKEN"`
}

// tokenFile is the API token's name in the data folder.
const tokenFile = "api-token"

func (f APIFlag) client() (*client.Client, error) {
	base, token := f.API, f.Token
	if base == "" || token == "" {
		config, err := f.load()
		if err != nil && base == "" {
			return nil, err
		}
		if base == "" {
			base = "http://" + config.HTTP.Address
		}
		if token == "" {
			// Reading is free on the loopback: a missing token shows when it is needed.
			text, _ := os.ReadFile(filepath.Join(config.Data, tokenFile))
			token = strings.TrimSpace(string(text))
		}
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return client.New(base, token, nil), nil
}
