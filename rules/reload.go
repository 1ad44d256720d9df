package rules

import "fmt"

// Reload loads files anew, as Load does. The Set that it returns continues s:
// a command that both have keeps its index, a new one gets an index that was
// never used, and one that is gone leaves its place to nobody. So whatever is
// kept by index stays right. With an error there is no Set, and s goes on.
func (s *Set) Reload(files ...string) (*Set, error) {
	next, err := LoadOver(nil, files...) // never one that is in use: it is renumbered
	if err != nil {
		return nil, err
	}
	if err := next.continues(s.all); err != nil {
		return nil, err
	}
	return next, nil
}

// continues renumbers the commands of a Set that nobody uses yet.
func (s *Set) continues(old *Set) error {
	type id struct{ api, name string }
	places := make(map[id]int, len(old.commands))
	for i, c := range old.commands {
		places[id{c.API, c.Name}] = i
	}
	commands := make([]*Command, len(old.commands))
	for i, c := range old.commands {
		gone := *c // old may be in use: its commands do not change
		gone.retired = true
		commands[i] = &gone
	}
	for _, c := range s.commands {
		i, ok := places[id{c.API, c.Name}]
		if !ok {
			i = len(commands)
			commands = append(commands, nil)
		}
		c.Index = i
		commands[i] = c
	}
	if len(commands) > maxCommands {
		return fmt.Errorf("more than %d commands, those of earlier rules included: restart to forget them", maxCommands)
	}
	s.commands = commands
	return nil
}

// Continues reports whether every command of old has its place in s.
func (s *Set) Continues(old *Set) bool {
	if len(s.commands) < len(old.commands) {
		return false
	}
	for i, c := range old.commands {
		if n := s.commands[i]; n.API != c.API || n.Name != c.Name {
			return false
		}
	}
	return true
}
