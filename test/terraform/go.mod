module wellcar.dev/test/terraform

go 1.26.0
