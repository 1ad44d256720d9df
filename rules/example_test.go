package rules

import "testing"

// TestExamples: every command of the packs has a request that is named so.
func TestExamples(t *testing.T) {
	s := Default()
	for _, c := range s.Commands() {
		method, target, body, ok := s.Example(c)
		if ok != (c.Name != Other) {
			t.Errorf("%s %s: example %t", c.API, c.Name, ok)
		}
		if !ok {
			continue
		}
		view, err := s.Select(c.API)
		if err != nil {
			t.Fatal(err)
		}
		v := view.Classify(&Request{Method: []byte(method), Target: []byte(target), Body: []byte(body), BodyBytes: int64(len(body))})
		if v.Command != c {
			t.Errorf("%s %s: %s %s %s is named %s of %s", c.API, c.Name, method, target, body, v.Command.Name, v.Command.API)
		}
	}
}
