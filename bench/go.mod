module github.com/ssehub-go/ssehub/bench

go 1.26

require (
	github.com/ssehub-go/ssehub v0.0.0
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.40.0
)

require github.com/google/uuid v1.6.0 // indirect

replace github.com/ssehub-go/ssehub => ../
