module sealift.example/second-reader

go 1.24
