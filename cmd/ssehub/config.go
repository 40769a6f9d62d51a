package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// config is a file of serve's flags. A flag of the command line goes before the
// environment, that before the file, and the file before the default.
type config map[string]any

// loadConfig is a kong.ConfigurationLoader.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	var c config
	dec := json.NewDecoder(r)
	dec.UseNumber()
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	return c, nil
}

// Validate refuses names that are no flags, as they would do nothing unseen.
func (c config) Validate(app *kong.Application) error {
	names := []string{}
	for _, flag := range serveFlags(app) {
		names = append(names, flag.Name)
	}
	for name := range c {
		if !slices.Contains(names, name) {
			return fmt.Errorf("config file: serve has no flag %q", name)
		}
	}
	return nil
}

// Resolve returns what the file says of a flag.
func (c config) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if slices.ContainsFunc(flag.Envs, func(name string) bool { _, ok := os.LookupEnv(name); return ok }) {
		return nil, nil
	}
	if number, ok := c[flag.Name].(json.Number); ok {
		return number.String(), nil
	}
	return c[flag.Name], nil
}

// nameServeEnv gives serve's flags their environment variables.
func nameServeEnv(k *kong.Kong) error {
	for _, flag := range serveFlags(k.Model) {
		if flag.Name == "config" { // kong reads the file before the environment
			continue
		}
		name := "SSEHUB_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		flag.Envs = []string{name}
		flag.Tag.Envs = flag.Envs
	}
	return nil
}

func serveFlags(app *kong.Application) []*kong.Flag {
	i := slices.IndexFunc(app.Children, func(n *kong.Node) bool { return n.Name == "serve" })
	return app.Children[i].Flags
}
