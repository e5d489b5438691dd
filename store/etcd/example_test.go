package etcd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
)

// Without output: it needs a cluster.
func Example() {
	ca, err := os.ReadFile("etcd-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	cert, err := tls.LoadX509KeyPair("npmauth.pem", "npmauth-key.pem")
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	st, err := etcd.Open(ctx, etcd.Config{
		Endpoints: []string{"https://etcd-1.example:2379", "https://etcd-2.example:2379", "https://etcd-3.example:2379"},
		TLS:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Commit(ctx, store.Op{Key: "greeting", Action: store.Put, Value: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
}
