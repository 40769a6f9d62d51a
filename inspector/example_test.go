package inspector_test

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/inspector"
)

// The inspector behind basic auth, which is as good as the TLS that it goes over.
func Example() {
	hub := ssehub.New(nil)
	defer hub.Close()
	http.Handle("/inspector/", onlyOperators("operator", "a long password", inspector.New(hub, nil)))

	stranger, operator := httptest.NewRequest("GET", "/inspector/", nil), httptest.NewRequest("GET", "/inspector/", nil)
	operator.SetBasicAuth("operator", "a long password")
	for _, r := range []*http.Request{stranger, operator} {
		w := httptest.NewRecorder()
		http.DefaultServeMux.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 200
}

// onlyOperators lets one user in.
func onlyOperators(user, password string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(user + ":" + password)) // of one length, to compare in one time
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got := sha256.Sum256([]byte(user + ":" + password))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="operators", charset="UTF-8"`)
			http.Error(w, "operators only", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
