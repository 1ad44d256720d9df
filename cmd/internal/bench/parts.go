package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"

	"stallwatch/cmd/internal/synth"
)

// peers are the tools of the trade, where they are installed. tcpdump reads
// and writes packets and understands nothing: it is the measure. Some write
// into the directory they run in.
func peers(path string) (ps []*program) {
	port := fmt.Sprintf("port %d", synth.ServerPort)
	for _, args := range [][]string{
		{"tcpdump", "-r", path, "-w", "/dev/null"},
		{"httpry", "-r", path, "-o", "/dev/null", port},
		{"ngrep", "-q", "-I", path, "POST", port},
		{"tcpflow", "-a", "-r", path},
		{"tshark", "-n", "-r", path, "-d", fmt.Sprintf("tcp.port==%d,http", synth.ServerPort), "-Y", "http", "-T", "fields",
			"-e", "http.request.method", "-e", "http.request.uri", "-e", "http.response.code", "-e", "http.time"},
	} {
		if full, err := exec.LookPath(args[0]); err == nil {
			ps = append(ps, &program{name: args[0], args: append([]string{full}, args[1:]...)})
		}
	}
	return ps
}

// stallwatch is a replay with every detector and the default rules.
func (o *options) stallwatch(path string, flags ...string) []string {
	return append(append([]string{o.bin, "replay", "-p", fmt.Sprint(synth.ServerPort)}, flags...), path)
}

// speed compares with the peers on the three profiles.
func speed(o *options) error {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		return fmt.Errorf("tcpdump is the measure: %w", err)
	}
	for _, p := range synth.Profiles {
		path, packets, err := o.profile(p)
		if err != nil {
			return err
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		programs := peers(path)
		programs = slices.Insert(programs, 1, &program{name: "stallwatch", args: o.stallwatch(path)},
			&program{name: "stallwatch --json", args: o.stallwatch(path, "--json")})
		if err := runInTurn(o, programs); err != nil {
			return err
		}
		fmt.Printf("%s: %d packets, %d MB; ratios to tcpdump -w /dev/null\n", p.Name, packets, st.Size()/1e6)
		compare(programs)
		if own := programs[1].costs; len(own) > 0 {
			fmt.Printf("  stallwatch: %.0f ns of CPU a packet; --json takes %s of the report's wall time\n\n",
				median(each(own, cpu))/float64(packets)*1e9, spread(ratios(programs[2].costs, own, wall), "%.2f"))
		}
	}
	return nil
}

// cores compares one core with all, and asks for the same bytes.
func cores(o *options) error {
	path, _, err := o.profile(synth.Small)
	if err != nil {
		return err
	}
	pin, err := exec.LookPath("taskset")
	if err != nil {
		return err
	}
	one := append([]string{pin, "-c", "0"}, o.stallwatch(path)...)
	programs := []*program{{name: "one core", args: one}, {name: "all cores", args: o.stallwatch(path)}}
	if err := runInTurn(o, programs); err != nil {
		return err
	}
	fmt.Println("small on one core and on all; ratios to one core")
	compare(programs)
	records := o.stallwatch(path, "--json")
	a, err := digest(append([]string{pin, "-c", "0"}, records...))
	if err != nil {
		return err
	}
	b, err := digest(records)
	if err != nil {
		return err
	}
	if a != b {
		return fmt.Errorf("one core said other records than all")
	}
	fmt.Printf("  the same records: %s\n\n", a)
	return nil
}

// memory shows what a connection costs and that a long file costs nothing.
func memory(o *options) error {
	fmt.Println("resident memory at most, one run each")
	none, conns := 0.0, o.scale(1_000_000)
	for _, m := range []struct {
		what, name string
		conns      int
	}{
		{"one connection", "idle-1", 0},
		{"idle connections", fmt.Sprint("idle-", conns), conns},
		{"calls never answered", fmt.Sprint("unanswered-", conns/10), conns / 10},
		{"half open (SYN)", fmt.Sprint("syn-", conns), conns},
		{"a short file", fmt.Sprint("small-", o.scale(2_000_000)), 0},
		{"one three times as long", fmt.Sprint("small-", o.scale(6_000_000)), 0},
	} {
		path, err := o.file(m.name)
		if err != nil {
			return err
		}
		var flags []string
		if m.conns > 0 {
			flags = []string{"--memory", "4GiB"} // or most of them are evicted, which shows nothing
		}
		c, err := measure("", o.stallwatch(path, flags...))
		if err != nil {
			return err
		}
		fmt.Printf("  %-24s %5.0f MiB", m.what, c.rss)
		if m.conns > 0 {
			fmt.Printf("  %d of them: %.0f bytes each", m.conns, (c.rss-none)*(1<<20)/float64(m.conns))
		} else if none == 0 {
			none = c.rss
		} else if st, err := os.Stat(path); err == nil {
			fmt.Printf("  %d MB", st.Size()/1e6)
		}
		fmt.Println()
	}
	fmt.Println()
	return nil
}

// attack compares what a packet costs with what an honest one does.
func attack(o *options) error {
	n := o.scale(1_000_000)
	programs := []*program{{name: "honest"}, {name: "SYN flood, 100 k/s"}, {name: "out-of-order flood"}, {name: "10 k stalled calls"}}
	packets := []int{n, n, n, n + 40_000}
	for i, kind := range []string{"small", "syn", "holes", "stalled"} {
		path, err := o.file(fmt.Sprint(kind, "-", n))
		if err != nil {
			return err
		}
		programs[i].args = o.stallwatch(path)
	}
	if err := runInTurn(o, programs); err != nil {
		return err
	}
	fmt.Println("CPU a packet under attack, as ratios to honest traffic")
	for i, p := range programs {
		if p.gone != nil {
			return p.gone
		}
		r := ratios(p.costs, programs[0].costs, cpu)
		for k := range r {
			r[k] *= float64(packets[0]) / float64(packets[i])
		}
		fmt.Printf("  %-22s %5.0f ns  %s  %.0f MiB\n", p.name, median(each(p.costs, cpu))/float64(packets[i])*1e9,
			spread(r, "%.2f"), slices.Max(each(p.costs, rss)))
	}
	return nil
}
