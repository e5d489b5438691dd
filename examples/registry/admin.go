package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/twofactor/webauthn"
)

// An adminCommand is one of registry admin. What it does is in admin_commands.go: thin calls of
// npmauth's API for operators, which goes past the policy and the second factors.
type adminCommand struct {
	name, args, does string

	// prepare declares the flags of the command, and returns what runs it.
	prepare func(*flag.FlagSet) func(context.Context, *console, []string) error
}

// adminFlags are those that every command has.
type adminFlags struct {
	options
	json bool
}

// errArgs is the error of wrong arguments: exit code 2.
var errArgs = errors.New("wrong arguments")

// admin runs registry admin, and returns its exit code: 0, 1 if it failed, or 2 if the command
// line is wrong.
func admin(ctx context.Context, args []string, in io.Reader, out, stderr io.Writer) int {
	command, rest := findAdmin(args)
	if command == nil {
		if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
			adminUsage(out)
			return 0
		}
		adminUsage(stderr)
		return 2
	}
	o, given, run, err := command.parse(rest, out, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	switch err := o.run(ctx, in, out, given, run); {
	case errors.Is(err, errArgs), errors.Is(err, npmauth.ErrClass):
		fmt.Fprintf(stderr, "registry admin %s: %v\n", command.name, err)
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "registry admin %s: %v\n", command.name, err)
		return 1
	}
	return 0
}

// findAdmin returns the command that args begin with, and the rest of them.
func findAdmin(args []string) (*adminCommand, []string) {
	for i := range adminCommands {
		words := strings.Fields(adminCommands[i].name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == adminCommands[i].name {
			return &adminCommands[i], args[len(words):]
		}
	}
	return nil, nil
}

func adminUsage(out io.Writer) {
	fmt.Fprint(out, "usage: registry admin COMMAND [-data FOLDER] [-store STORE] [-json] …\n\n")
	t := newTable(out, false)
	for _, c := range adminCommands {
		t.add("  "+strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	t.flush()
	fmt.Fprint(out, "\nregistry admin COMMAND -h lists the flags of a command. Exit codes: 0, 1 it failed, 2 wrong usage.\n")
}

// parse reads the command line of c: flags before, between and after the arguments.
func (c *adminCommand) parse(args []string, out, stderr io.Writer) (o adminFlags, given []string, run func(context.Context, *console, []string) error, err error) {
	var at string
	flags := flag.NewFlagSet("registry admin "+c.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.data, "data", "npm-data", "`folder` of the registry's data")
	flags.StringVar(&at, "store", "", "`where` npmauth keeps its data, as of the registry (default sqlite:<data>/auth.db)")
	flags.BoolVar(&o.json, "json", false, "print a JSON object a line")
	run = c.prepare(flags)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: registry admin %s\n%s.\n", strings.TrimSpace(c.name+" [flags] "+c.args), c.does)
		flags.PrintDefaults()
	}
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" { // requested, and no error
			flags.SetOutput(out)
		}
	}
	for len(args) > 0 && err == nil {
		if err = flags.Parse(args); err == nil {
			if args = flags.Args(); len(args) > 0 {
				given, args = append(given, args[0]), args[1:]
			}
		}
	}
	least := len(strings.Fields(c.args)) - strings.Count(c.args, "[")
	switch {
	case err != nil: // flags has printed it
	case len(given) < least || len(given) > len(strings.Fields(c.args)):
		flags.Usage()
		err = errArgs
	default:
		// A script's variable that is empty must not make a class wider.
		flags.Visit(func(f *flag.Flag) {
			if f.Value.String() == "" {
				err = errors.Join(err, fmt.Errorf("-%s is empty", f.Name))
			}
		})
		if err = errors.Join(err, o.setStores(at, "")); err != nil {
			fmt.Fprintln(stderr, err)
		}
	}
	return o, given, run, err
}

// run opens the registry's data, and runs a command on it.
func (o *adminFlags) run(ctx context.Context, in io.Reader, out io.Writer, args []string, run func(context.Context, *console, []string) error) (err error) {
	if o.store.kind == "memory" {
		return errors.New("what is in memory: is the registry's alone, and no other process can see or change it")
	}
	// A mistyped folder must not become a new registry.
	files := []string{filepath.Join(o.data, "registry.db"), filepath.Join(o.data, keyFile)}
	if o.store.kind == "sqlite" {
		files = append(files, o.store.at)
	}
	for _, file := range files {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no registry here, %s is missing: name its folder with -data, and its store with -store", file)
		} else if err != nil {
			return err
		}
	}
	db, _, err := openDatabase(ctx, filepath.Join(o.data, "registry.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	st, _, closeStore, err := openStore(ctx, o.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	events, err := audit.NewLog(audit.LogConfig{Store: st})
	if err != nil {
		return err
	}
	c := &console{facts: facts{db: db, people: new(people)}, events: events, in: in, table: newTable(out, o.json)}
	c.Auth, err = npmauth.New(npmauth.Config{
		BaseURL: "http://localhost/", // nothing is served
		Store:   st, Packages: c.facts, Documents: c.facts, Orgs: c.facts, AuditLog: events,
		Keys: webauthn.Keys, // which reset-factor removes, whatever domain they belong to
	})
	if err != nil {
		return err
	}
	if err := ready(ctx, c.Auth, o.data); err != nil {
		return err
	}
	c.facts.people.directory = c.People()
	if err := run(ctx, c, args); err != nil {
		return errors.Join(err, c.table.flush())
	}
	return c.table.finish()
}

// A console is what a command works with.
type console struct {
	*npmauth.Auth
	facts  facts
	events *audit.Log
	in     io.Reader
	*table
}

// user returns the account of that name.
func (c *console) user(ctx context.Context, name string) (account.User, error) {
	u, err := c.People().ByName(ctx, name)
	if errors.Is(err, account.ErrNoUser) {
		return u, fmt.Errorf("there is no user %q", name)
	}
	return u, err
}

// name returns the name of the account with that ID, or the ID if there is none.
func (c *console) name(ctx context.Context, id protocol.UserID) (string, error) {
	name, err := c.facts.people.name(ctx, id)
	if name == "" {
		name = string(id)
	}
	return name, err
}

// A moment is the value of a flag: a time, or how long ago it was.
type moment struct{ time.Time }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

func (m *moment) Set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("must be a time such as 2026-11-30T12:00:00Z, or how long ago, such as 72h")
	}
	m.Time = t
	return nil
}

// A right is the value of a flag. The zero value is none.
type right struct{ policy.Rights }

func (r *right) String() string {
	if r.Rights == 0 {
		return ""
	}
	return r.Rights.String()
}

func (r *right) Set(text string) error {
	for _, one := range []policy.Rights{policy.RightRead, policy.RightWrite, policy.RightAdmin} {
		if one.String() == text {
			r.Rights = one
			return nil
		}
	}
	return errors.New("must be read, write or admin")
}
