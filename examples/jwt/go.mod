module github.com/ssehub-go/ssehub/examples/jwt

go 1.26

require (
	github.com/golang-jwt/jwt/v5 v5.3.0
	github.com/ssehub-go/ssehub v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/ssehub-go/ssehub => ../..
