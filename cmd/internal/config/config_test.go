package config

import (
	"fmt"
	"slices"
	"testing"
)

func TestPorts(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
		want []uint16
		bad  bool
	}{
		{name: "none"},
		{name: "one", in: []string{"14265"}, want: []uint16{14265}},
		{name: "list", in: []string{"80,443", "80"}, want: []uint16{80, 443}},
		{name: "spaces", in: []string{"80, 443"}, want: []uint16{80, 443}},
		{name: "zero", in: []string{"0"}, bad: true},
		{name: "too large", in: []string{"65536"}, bad: true},
		{name: "word", in: []string{"http"}, bad: true},
		{name: "empty", in: []string{""}, bad: true},
		{name: "negative", in: []string{"-1"}, bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Ports(tt.in)
			if (err != nil) != tt.bad || !slices.Equal(got, tt.want) {
				t.Errorf("Ports(%q) = %v, %v; want %v, error %v", tt.in, got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestPortsBound(t *testing.T) {
	var in []string
	for i := range MaxPorts + 1 {
		in = append(in, string(rune('1'+i%9))+"0"+string(rune('0'+i/9)))
	}
	if got, err := Ports(in); err == nil {
		t.Errorf("Ports of %d ports = %v, want an error", len(in), got)
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		bad  bool
	}{
		{in: "0"}, {in: "4096", want: 4096}, {in: "512KiB", want: 512 << 10}, {in: "64MiB", want: 64 << 20},
		{in: "2G", want: 2 << 30}, {in: "3 MiB", want: 3 << 20}, {in: "7B", want: 7},
		{in: "", bad: true}, {in: "MiB", bad: true}, {in: "-1", bad: true}, {in: "1.5M", bad: true},
		{in: "9223372036854775807G", bad: true}, {in: "64MB", bad: true},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Size(tt.in)
			if (err != nil) != tt.bad || got != tt.want {
				t.Errorf("Size(%q) = %d, %v; want %d, error %v", tt.in, got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestNetworks(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		bad      bool
	}{
		{in: "10.0.0.0/8", want: "[10.0.0.0/8]"},
		{in: "192.0.2.7", want: "[192.0.2.7/32]"},
		{in: "2001:db8::/32", want: "[2001:db8::/32]"},
		{in: "::1", want: "[::1/128]"},
		{in: "fe80::1%eth0", bad: true},
		{in: "10.0.0.0/33", bad: true},
		{in: "proxy.example", bad: true},
		{in: "", bad: true},
	} {
		got, err := Networks([]string{tt.in})
		if (err != nil) != tt.bad || !tt.bad && fmt.Sprint(got) != tt.want {
			t.Errorf("Networks(%q) = %v, %v; want %s, error %v", tt.in, got, err, tt.want, tt.bad)
		}
	}
}
