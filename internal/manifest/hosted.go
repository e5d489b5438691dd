package manifest

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Dependencies that are repositories on hosts which npm knows are written in many ways, and its
// publish replaces them: "user/repo" becomes "github:user/repo", "https://github.com/user/repo"
// becomes "git+https://github.com/user/repo.git", and each release does it a little differently.
var (
	shorthand = regexp.MustCompile(`^[^./\s@:#][^/\s@:#]*/[^/\s@:#]+$`)
	shortcut  = regexp.MustCompile(`^(github|gitlab|bitbucket|gist|sourcehut):([^/].*|/[^/].*)$`)
	hosted    = regexp.MustCompile(`(?i)^(?:(git|https?|ssh|git\+ssh|git\+https?):(?://)?)?(?:([^@/]*)@)?(?:www\.)?(github\.com|gitlab\.com|bitbucket\.org|gist\.github\.com|git\.sr\.ht)(?::[0-9]*)?[:/]+([^:]+)$`)
)

var hostNames = map[string]string{
	"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket", "gist.github.com": "gist", "git.sr.ht": "sourcehut",
}

// repository returns one text for all ways to write a dependency on a repository, and any other
// range as it is. Who fetches it by SSH and who by HTTPS gets the same content.
func repository(spec string) string {
	at, commit, _ := strings.Cut(spec, "#")
	host, name, auth := "", "", ""
	if m := shortcut.FindStringSubmatch(at); m != nil {
		host, name = m[1], m[2]
		if _, after, ok := strings.Cut(name, "@"); ok {
			name = after
		}
	} else if shorthand.MatchString(at) {
		host, name = "github", at
	} else if m := hosted.FindStringSubmatch(at); m != nil {
		host, name = hostNames[strings.ToLower(m[3])], m[4]
		switch strings.ToLower(m[1]) {
		case "https", "git+https", "git":
			auth = m[2] + "@"
		}
		if parts := strings.SplitN(name, "/", 4); host == "github" && len(parts) == 4 && parts[2] == "tree" {
			name, commit = parts[0]+"/"+parts[1], parts[3]
		}
		if strings.Contains(name, "?") {
			return spec
		}
	}
	if host == "" {
		return spec
	}
	name = strings.TrimSuffix(strings.Trim(path.Clean("/"+decode(name)), "/"), ".git")
	if slash := strings.Count(name, "/"); slash > 1 && host != "gitlab" || slash == 0 && host != "gist" {
		return spec // a file in it, maybe
	}
	return strings.TrimPrefix(auth, "@") + host + ":" + name + "#" + decode(commit)
}

// decode decodes what npm decodes, once or several times.
func decode(s string) string {
	for range 3 {
		d, err := url.PathUnescape(s)
		if err != nil || d == s {
			break
		}
		s = d
	}
	return s
}
