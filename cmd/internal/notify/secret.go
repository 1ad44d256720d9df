package notify

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hidden stands wherever a secret would.
const hidden = "<secret>"

// maxSecret bounds a secret in bytes. The longest in use are webhook URLs
// with some 150.
const maxSecret = 4096

// Secret is a webhook's URL, a token or a key. It prints as <secret>,
// whatever the verb and however deep it lies in what is printed: behind a
// function even package fmt's reflection finds nothing.
type Secret struct{ get func() string }

// NewSecret returns a Secret that holds s.
func NewSecret(s string) Secret { return Secret{func() string { return s }} }

func (s Secret) reveal() string {
	if s.get == nil {
		return ""
	}
	return s.get()
}

func (s Secret) empty() bool { return s.reveal() == "" }

// String returns <secret>.
func (Secret) String() string { return hidden }

// GoString returns <secret>.
func (Secret) GoString() string { return hidden }

// MarshalText returns <secret>.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// readSecret reads a secret from a file that only its owner may read, or from
// the environment.
func readSecret(file, env string) (Secret, error) {
	var s string
	switch {
	case file != "" && env != "":
		return Secret{}, errors.New("given as a file and as a variable: want one of them")
	case env != "":
		if s = strings.TrimSpace(os.Getenv(env)); s == "" {
			return Secret{}, fmt.Errorf("the environment variable %s is not set", clean(env, 64))
		}
	default:
		var err error
		if s, err = readSecretFile(file); err != nil {
			return Secret{}, err
		}
	}
	if len(s) > maxSecret || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Secret{}, fmt.Errorf("want one line of at most %d printable characters without spaces", maxSecret)
	}
	return NewSecret(s), nil
}

func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !st.Mode().IsRegular():
		return "", fmt.Errorf("%s is no regular file", path)
	case st.Mode().Perm()&0o077 != 0 && !credential(path):
		return "", fmt.Errorf("%s has mode %04o and others can read it: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+2))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return s, nil
}

// credential reports whether systemd made the file for this service alone
// (LoadCredential=): it guards the directory, and the mode may show the mask
// of an access control list as group rights.
func credential(path string) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(dir)
}

// redactor takes secrets out of text on its way to a log, an error or a
// person: an error of net/http carries the URL, a receiver's answer may
// repeat it.
type redactor struct{ r *strings.Replacer }

// minSegment is the length in bytes from which a part of a secret URL's path
// is itself taken for a secret.
const minSegment = 6

func newRedactor(urls []Secret, others ...Secret) redactor {
	var needles []string
	add := func(s string) {
		if s != "" && s != "/" {
			needles = append(needles, s)
		}
	}
	for _, s := range others {
		add(s.reveal())
	}
	for _, s := range urls {
		add(s.reveal())
		u, err := url.Parse(s.reveal())
		if err != nil {
			continue
		}
		add(u.RequestURI())
		add(u.Path)
		add(u.RawQuery)
		if password, ok := u.User.Password(); ok {
			add(password)
		}
		for _, part := range strings.FieldsFunc(u.EscapedPath()+"/"+u.Path+"/"+u.RawQuery, func(r rune) bool { return strings.ContainsRune("/&=", r) }) {
			if len(part) >= minSegment && !slices.Contains(publicParts, part) {
				add(part)
			}
		}
	}
	// The longest first: a part must not break up the whole.
	slices.SortFunc(needles, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, n := range needles {
		pairs = append(pairs, n, hidden)
	}
	return redactor{strings.NewReplacer(pairs...)}
}

// publicParts are parts of a path that everybody knows.
var publicParts = []string{"webhooks", "services", "messages", "alerts", "enqueue"}

func (r redactor) text(s string) string {
	if r.r == nil {
		return s
	}
	return r.r.Replace(s)
}

// failure returns err as one line without secrets. Of a *url.Error only the
// cause is kept: its own text is the URL.
func (r redactor) failure(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return clean(r.text(err.Error()), maxWords)
}
