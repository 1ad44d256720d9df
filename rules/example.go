package rules

import "strings"

// Example is a request that Classify names as c, for tests and traces:
// method, target and body. ok is false if there is none, as for Other.
func (s *Set) Example(c *Command) (method, target, body string, ok bool) {
	if c.Name == Other || c.retired {
		return "", "", "", false
	}
	if c.Name == optionsName {
		return "OPTIONS", "/", "", true
	}
	if m, path, isRoute := strings.Cut(c.Name, " "); isRoute {
		if m == anyMethod {
			m = "GET"
		}
		return m, examplePath(path), "", true
	}
	name := strings.ReplaceAll(c.Name, "*", "x")
	for _, a := range s.all.apis {
		if a.name != c.API {
			continue
		}
		if a.by == byJSONRPC {
			return "POST", "/", `{"jsonrpc":"2.0","id":1,` + jsonText(a.key) + ":" + jsonText(name) + `,"params":[]}`, true
		}
		return "POST", "/", "{" + jsonText(a.key) + ":" + jsonText(name) + "}", true
	}
	return "", "", "", false
}

// examplePath fills a template in.
func examplePath(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		switch {
		case strings.HasPrefix(s, "{"):
			segments[i] = "0123456789abcdef0123456789abcdef"
		case s == "*":
			segments[i] = "x"
		}
	}
	return strings.Join(segments, "/")
}

// jsonText is a name, which is printable ASCII, as JSON has it.
func jsonText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Command finds a command by its name, in the API if one is named. With
// several of that name the first counts.
func (s *Set) Command(api, name string) *Command {
	for _, c := range s.all.commands {
		if c.Name == name && !c.retired && (api == "" || api == c.API) {
			return c
		}
	}
	return nil
}
