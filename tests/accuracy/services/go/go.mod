module clew/accuracy

go 1.19
