// Certificates for a cluster on one machine: a new authority signs one for each line of the standard input, and its
// own key is forgotten. A line is JSON: {"name", "user", "groups", "hosts"}; a host is a name or an address.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

type wanted struct {
	Name   string   `json:"name"`
	User   string   `json:"user"`
	Groups []string `json:"groups"`
	Hosts  []string `json:"hosts"`
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: certificates FOLDER"))
	}
	folder := os.Args[1]
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	ca := template(pkix.Name{CommonName: "slipway-kubernetes"})
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	caBytes, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	fail(err)
	write(filepath.Join(folder, "ca.crt"), "CERTIFICATE", caBytes)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var one wanted
		fail(json.Unmarshal(lines.Bytes(), &one))
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		fail(err)
		leaf := template(pkix.Name{CommonName: one.User, Organization: one.Groups})
		leaf.KeyUsage = x509.KeyUsageDigitalSignature
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if len(one.Hosts) > 0 {
			leaf.ExtKeyUsage = append(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
		for _, host := range one.Hosts {
			if address := net.ParseIP(host); address != nil {
				leaf.IPAddresses = append(leaf.IPAddresses, address)
			} else {
				leaf.DNSNames = append(leaf.DNSNames, host)
			}
		}
		signed, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
		fail(err)
		keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
		fail(err)
		write(filepath.Join(folder, one.Name+".crt"), "CERTIFICATE", signed)
		write(filepath.Join(folder, one.Name+".key"), "PRIVATE KEY", keyBytes)
	}
	fail(lines.Err())
}

func template(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	fail(err)
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
	}
}

func write(path, kind string, content []byte) {
	fail(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "certificates:", err)
		os.Exit(1)
	}
}
