// Command release packs the modules of this repository for those who require
// them, into the files that a module proxy serves:
//
//	go run ./internal/integration/release -version v0.1.0 -out DIR
//
// In the repository the nested modules require v0.0.0 of the others and replace
// it with a folder. Outside of it a replacement counts for nothing, so a release
// has go.mod files that require the version that is released. With -write they
// are written into the checkout too, for the commit that is tagged; RELEASING.md
// has the whole of it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	version := flag.String("version", "", "the version of all modules, such as v0.1.0")
	out := flag.String("out", "", "the folder that becomes a module proxy")
	write := flag.Bool("write", false, "write the go.mod and go.sum files of the release into the checkout")
	flag.Parse()
	if flag.NArg() > 0 || *version == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := release(os.Stdout, *version, *out, *write); err != nil {
		log.Fatal(err)
	}
}

// release packs the checkout of the working directory and prints the tags to make.
func release(stdout io.Writer, version, out string, write bool) error {
	text, err := git("", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	root := strings.TrimSpace(text)
	// What is packed must be what the tags will hold: the sums are of it.
	changes, err := git(root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return errors.New("the checkout has changes that are not committed")
	}
	parts, err := load(root)
	if err != nil {
		return err
	}
	if err := pack(parts, version, out); err != nil {
		return err
	}
	for _, p := range parts {
		fmt.Fprintln(stdout, p.tag(version))
		for _, name := range []string{"go.mod", "go.sum"} {
			if data, ok := p.files[name]; ok && write {
				if err := os.WriteFile(filepath.Join(root, p.dir, name), data, 0o644); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// git runs git in dir and returns what it prints.
func git(dir string, args ...string) (string, error) {
	// Who runs this runs the checkout's code anyway, whoever owns its files.
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, exit.Stderr)
	}
	return string(out), err
}
