// SPDX-License-Identifier: Apache-2.0

// A service on net/http: each request makes two calls with random pauses around them, each with a fresh token.
//
//	service KIND MODE PORT NEXT TRUTH
//
// KIND: http.
// MODE: own (the handler calls); fan (a goroutine for each call); pool (20 workers behind a channel).
package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

var (
	mode   = os.Args[2]
	next   = "http://127.0.0.1:" + os.Args[4]
	client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 30}}
	truth  *os.File
)

func pause() {
	n, _ := rand.Int(rand.Reader, big.NewInt(19_000_000))
	time.Sleep(time.Millisecond + time.Duration(n.Int64()))
}

func call(token string) {
	var raw [16]byte
	rand.Read(raw[:])
	out := hex.EncodeToString(raw[:])
	fmt.Fprintf(truth, "%s\t%s\n", token, out)
	pause()
	answer, err := client.Get(next + "/leaf/" + out)
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

type job struct {
	token string
	done  *sync.WaitGroup
}

var jobs = make(chan *job)

func work() {
	for j := range jobs {
		call(j.token)
		call(j.token)
		j.done.Done()
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	var done sync.WaitGroup
	switch mode {
	case "own":
		call(token)
		call(token)
	case "fan":
		done.Add(2)
		for i := 0; i < 2; i++ {
			go func() {
				defer done.Done()
				call(token)
			}()
		}
	case "pool":
		done.Add(1)
		jobs <- &job{token, &done}
	}
	done.Wait()
	pause()
	io.WriteString(w, "ok\n")
}

func main() {
	var err error
	truth, err = os.OpenFile(os.Args[5], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		panic(err)
	}
	for i := 0; i < 20; i++ {
		go work()
	}
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[3], http.HandlerFunc(serve)))
}
