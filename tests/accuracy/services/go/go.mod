module clew/accuracy

go 1.21
