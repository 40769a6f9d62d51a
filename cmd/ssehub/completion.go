package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints what a shell sources.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Completes commands and flags.

Examples:

    source <(ssehub completion bash)      # in ~/.bashrc
    source <(ssehub completion zsh)       # in ~/.zshrc, behind compinit
    ssehub completion fish | source       # in ~/.config/fish/config.fish`
}

// Run prints the script of the shell.
func (c *completionCmd) Run(std stdio, app *kong.Application) error {
	text := ""
	switch c.Shell {
	case "bash":
		text = bashCompletion(app)
	case "zsh":
		text = "autoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(app)
	case "fish":
		text = fishCompletion(app)
	}
	_, err := fmt.Fprint(std.out, text)
	return err
}

func bashCompletion(app *kong.Application) string {
	var names []string
	var cases strings.Builder
	for _, cmd := range app.Children {
		names = append(names, cmd.Name)
		words := []string{"--help"}
		for _, flag := range cmd.Flags {
			words = append(words, "--"+flag.Name)
		}
		fmt.Fprintf(&cases, "\t%s) words=%q ;;\n", cmd.Name, strings.Join(words, " "))
	}
	return fmt.Sprintf(`_ssehub() {
	local words=""
	case "${COMP_WORDS[1]}" in
%s	esac
	[ "$COMP_CWORD" -gt 1 ] || words="%s --help --version"
	COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _ssehub ssehub
`, cases.String(), strings.Join(names, " "))
}

func fishCompletion(app *kong.Application) string {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'" }
	var b strings.Builder
	for _, cmd := range app.Children {
		fmt.Fprintf(&b, "complete -c ssehub -f -n __fish_use_subcommand -a %s -d %s\n", cmd.Name, quote(cmd.Help))
		for _, flag := range cmd.Flags {
			fmt.Fprintf(&b, "complete -c ssehub -n '__fish_seen_subcommand_from %s' -l %s -d %s", cmd.Name, flag.Name, quote(flag.Help))
			if flag.Short != 0 {
				fmt.Fprintf(&b, " -s %c", flag.Short)
			}
			if !flag.IsBool() {
				b.WriteString(" -r")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
