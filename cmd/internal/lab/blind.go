package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"time"

	"stallwatch/cmd/internal/demo"
)

// tlsConf serves HTTPS on the node's port.
const tlsConf = `
	server {
		listen 127.0.0.1:14265 ssl;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
		default_type application/json;
		location / { return 200 '{"appName":"IRI","duration":1}'; }
	}
`

// playTLS has curl ask a node that speaks TLS on the watched port.
func playTLS(ctx context.Context, st *Stage) error {
	if err := st.Capture("lo", "tcp port 14265"); err != nil {
		return err
	}
	if err := st.certificate(); err != nil {
		return err
	}
	cmd, err := st.nginx(nodeAddr, tlsConf)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: worker(cmd), Port: nodePort}); err != nil {
		return err
	}
	for range 30 {
		if err := st.Tool(ctx, "curl", "-s", "-S", "-k", "-o", "/dev/null", "-d", info, "https://127.0.0.1:14265/"); err != nil {
			return err
		}
		sleep(ctx, 300*time.Millisecond)
	}
	return nil
}

// certificate puts a self-signed one, and its key, into Temp.
func (st *Stage) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, DNSNames: []string{"node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	_, err = st.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	_, err2 := st.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return errors.Join(err, err2)
}

// playToNode captures only what clients send, as where the answers leave by
// another interface.
func playToNode(ctx context.Context, st *Stage) error {
	return playOneWay(ctx, st, "tcp dst port 14265")
}

// playFromNode captures only what the node sends.
func playFromNode(ctx context.Context, st *Stage) error {
	return playOneWay(ctx, st, "tcp src port 14265")
}

func playOneWay(ctx context.Context, st *Stage, filter string) error {
	p, addrs, err := overVeth(st, roomy, filter)
	if err != nil {
		return err
	}
	s := quietly(0, 25*time.Second)
	s.Clients.Sources = addrs[:honest]
	return st.Play(ctx, p, s)
}

// neighborConf is a web server on loopback that has nothing to do with the
// node.
const neighborConf = `
	server { listen 127.0.0.1:8080; location / { return 200 'well\n'; } }
`

// playOtherInterface captures on loopback what wallets send over another
// interface: all that is seen is a neighbour that somebody polls.
func playOtherInterface(ctx context.Context, st *Stage) error {
	addrs, err := st.split(honest)
	if err != nil {
		return err
	}
	if err := errors.Join(st.run("ip link set lo up"), st.Capture("lo", "tcp")); err != nil {
		return err
	}
	if _, err := st.nginx(netip.MustParseAddrPort("127.0.0.1:8080"), neighborConf); err != nil {
		return err
	}
	o := roomy
	o.Listen = netNode
	p, err := st.Node(o)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: p.PID, Port: nodePort, Table: true}); err != nil {
		return err
	}
	s := quietly(0, 40*time.Second)
	s.Clients.Sources = addrs
	poller, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- st.pollNeighbor(poller) }()
	err = st.Play(ctx, p, s)
	cancel()
	return errors.Join(err, <-done)
}

func (st *Stage) pollNeighbor(ctx context.Context) error {
	for ctx.Err() == nil {
		cmd := st.command("curl", "-s", "-S", "-o", "/dev/null", "http://127.0.0.1:8080/")
		cmd.Stderr = st.Log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("poll the neighbour: %w", err)
		}
		sleep(ctx, time.Second)
	}
	return nil
}

// playLossy has tcpdump keep up with wallets, and not with the answers of
// 1.9 MB that one of them fetches at full speed every two seconds: its buffer
// is the smallest that libpcap grants for packets of any size.
func playLossy(ctx context.Context, st *Stage) error {
	st.lossy = true
	p, addrs, err := overVethCapturing(st, roomy, "tcp port 14265", []string{"-B", "300"})
	if err != nil {
		return err
	}
	s := quietly(2*time.Second, 30*time.Second)
	s.Clients.Rate, s.Clients.Keep, s.Clients.Sources = 2, 1, addrs[:honest]
	return st.playWith(ctx, &cast{node: p, from: addrs[honest:]}, s, false, func(ctx context.Context, c *cast) error {
		body := listOf("getTrytes", "hashes", 700, hash())
		c.each(ctx, 12, 2*time.Second, func(i int) { c.ask(ctx, i, body) })
		return nil
	})
}

// playLate has the monitor start when 40 stalled calls have leaked their
// sockets already: tcpdump and the truth begin half a minute after the attack,
// which then makes ten more calls. The pool has room for all of them.
func playLate(ctx context.Context, st *Stage) error {
	addrs, err := st.split(20)
	if err != nil {
		return err
	}
	p, err := st.Node(demo.NodeOptions{Workers: 72, FDLimit: 256, Listen: netNode})
	if err != nil {
		return err
	}
	s := quietly(2*time.Second, 80*time.Second)
	s.Clients.Rate, s.Clients.Keep, s.Clients.Sources = 2, 1, addrs[:honest]
	return st.playWith(ctx, &cast{node: p, from: addrs[honest:]}, s, true, func(ctx context.Context, c *cast) error {
		leave := func(i int) { c.giveUp(ctx, i, 3*time.Second) }
		c.each(ctx, 40, 500*time.Millisecond, leave)
		if !sleep(ctx, 10*time.Second) {
			return nil
		}
		st.Mark("the capture begins")
		err := errors.Join(st.Capture("node", "tcp port 14265"), st.Truth(Target{PID: p.PID, Port: nodePort, Table: true}))
		if err == nil && sleep(ctx, 2*time.Second) {
			c.each(ctx, 10, time.Second, leave)
		}
		return err
	})
}
