module wellcar.dev

go 1.26.0
