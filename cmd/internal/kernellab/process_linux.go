package kernellab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// ServerEnv set to anything makes a test binary the server process: see Main.
const ServerEnv = "STALLWATCH_KERNELLAB_SERVER"

// Main is the server process if this process was started as one, and does not
// return then. A test's TestMain calls it first.
func Main() {
	if os.Getenv(ServerEnv) == "" {
		return
	}
	if err := ServerMain(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is a server process in the server's namespace, or the memory of one.
type process struct {
	cmd     *exec.Cmd
	orders  *json.Encoder
	reports *json.Decoder
	stdin   io.Closer
	last    report
	dead    bool
}

// startServer runs this binary again in ns. It ends when its input does, so
// also when this process dies.
func startServer(ns *namespace, o ServerOptions) (*process, error) {
	p := &process{cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = append(os.Environ(), ServerEnv+"=1")
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin, p.orders, p.reports = stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)
	if err := ns.do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if _, err := p.do(order{Do: "listen", Listen: o}); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return p, nil
}

// do gives an order and returns the answer.
func (p *process) do(o order) (report, error) {
	if p.dead {
		return report{}, errors.New("the server was killed")
	}
	if err := p.orders.Encode(o); err != nil {
		return report{}, fmt.Errorf("give the server an order: %w", err)
	}
	var r report
	if err := p.reports.Decode(&r); err != nil {
		return report{}, fmt.Errorf("read the server's report: %w", err)
	}
	p.last = r
	if r.Err != "" {
		return r, fmt.Errorf("server: %s", r.Err)
	}
	return r, nil
}

// report says what the application has; of a killed one, what it had without
// the descriptors, which the kernel has closed.
func (p *process) report() (report, error) {
	if p.dead {
		r := p.last
		r.Sockets = 0
		return r, nil
	}
	return p.do(order{Do: "report"})
}

// kill is kill -9, and waits for the end.
func (p *process) kill() error {
	if p.dead {
		return nil
	}
	p.dead = true
	err := p.cmd.Process.Kill()
	p.stdin.Close()
	var exit *exec.ExitError
	if e := p.cmd.Wait(); e != nil && !errors.As(e, &exit) {
		err = errors.Join(err, e)
	}
	return err
}
