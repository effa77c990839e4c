// SPDX-License-Identifier: Apache-2.0

// net/http on Go's scheduler: each request makes a random number of calls to BACK, each with a fresh token. The
// pair (incoming token, outgoing token) goes to the truth file alone.
//
//	MODE=plain   the handler makes its calls itself, through net/http's client
//	MODE=own     the same on a socket of its own from a pool: no client library between
//	MODE=fanout  each call in a goroutine of its own, waited for with a WaitGroup
//	MODE=pool    work goes through a channel to WORKERS goroutines, which use net/http's client
//	MODE=poolown the same, each worker with a socket of its own
//	MODE=collapse as plain, and each request ends with a question of which there are KEYS; who asks what is being
//	             asked already waits for that answer (as singleflight does)
//	MODE=mix     the same through channels of structs, recycled pointers, closures and interfaces, buffered or not;
//	             each worker waits for all of them at once, and for a clock by which it calls for itself
//	MODE=stages  each piece of work goes through two pools; the first passes it on, or asks the second and goes on
//	MODE=batch   workers gather pieces and make one call for up to four
//
// Environment: see ../../case.py.
package main

import (
	"bufio"
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	name     = env("NAME", "svc")
	back     = env("BACK", "127.0.0.1:1")
	backName = env("BACK_NAME", "leaf")
	mode     = env("MODE", "plain")
	workers  = int(num("WORKERS", "16"))
	conns    = int(num("CONNS", "16"))
	thinkMs  = num("THINK_MS", "10")
	steps    = int(num("STEPS", "2"))
	skip     = num("SKIP", "0")
	repeat   = num("REPEAT", "0")
	retries  = int(num("RETRIES", "2"))
	parallel = num("PARALLEL", "0")
	backgr   = num("BACKGROUND", "0")
	timerMs  = num("TIMER_MS", "0")
	keys     = int(num("KEYS", "4"))
	flights  = map[int]*flight{}
	flightMu sync.Mutex
	truth    *os.File
	client   http.Client
	jobs     = make(chan job, 4096)
	sockets  chan *socket
	pointers = make(chan *job)
	closures = make(chan func(), 64)
	anything = make(chan any)
	recycled = sync.Pool{New: func() any { return new(job) }}
	first    = make(chan stage, 256)
	second   = make(chan stage, 64)
)

type job struct {
	token, kind string
	done        chan bool
}

// A question that is being asked.
type flight struct {
	done  chan struct{}
	token string
	ok    bool
}

// A piece of work that goes through two pools; ok says what came of it so far.
type stage struct {
	token, kind string
	ok          bool
	reply       chan stage
}

// A connection of our own to the back end; dialled again when it broke.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
}

func env(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}

func num(key, otherwise string) float64 {
	v, err := strconv.ParseFloat(env(key, otherwise), 64)
	if err != nil {
		log.Fatal(key, ": ", err)
	}
	return v
}

func think() {
	if thinkMs > 0 {
		time.Sleep(time.Duration(rand.Float64() * 2 * thinkMs * float64(time.Millisecond)))
	}
}

func newToken() string {
	var b [16]byte
	crand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func tell(token, out, kind string) {
	if _, err := fmt.Fprintf(truth, "%s\t%s\t%s\t%s\t%s\n", name, token, backName, out, kind); err != nil {
		log.Fatal(err)
	}
}

// fresh writes the pair to the truth and returns the path of the call.
func fresh(token, kind string) string {
	out := newToken()
	tell(token, out, kind)
	return "/" + backName + "/" + out
}

// ask makes a call for all who ask the same while it is out. Each writes that it is one of them.
func ask(token string, key int) bool {
	flightMu.Lock()
	f := flights[key]
	if f != nil {
		tell(token, f.token, "shared")
		flightMu.Unlock()
		<-f.done
		return f.ok
	}
	f = &flight{done: make(chan struct{}), token: newToken()}
	flights[key] = f
	tell(token, f.token, "shared")
	flightMu.Unlock()
	f.ok = answered(client.Get("http://" + back + "/" + backName + "/" + f.token))
	flightMu.Lock()
	delete(flights, key)
	flightMu.Unlock()
	close(f.done)
	return f.ok
}

func answered(r *http.Response, err error) bool {
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return err == nil && r.StatusCode < 400
}

func (s *socket) once(path string) bool {
	if s.conn == nil {
		c, err := net.Dial("tcp", back)
		if err != nil {
			return false
		}
		s.conn, s.in = c, bufio.NewReader(c)
	}
	_, err := io.WriteString(s.conn, "GET "+path+" HTTP/1.1\r\nHost: "+back+"\r\n\r\n")
	var r *http.Response
	if err == nil {
		r, err = http.ReadResponse(s.in, nil)
	}
	if err != nil {
		s.conn.Close()
		s.conn = nil
	}
	return answered(r, err)
}

// call makes a call, again with another token when the back end was not able. s is nil for net/http's client.
func call(token, kind string, s *socket) bool {
	for i := 0; i <= retries; i++ {
		if i > 0 && kind != "background" && kind != "timer" {
			kind = "retry"
		}
		path := fresh(token, kind)
		if s != nil {
			if s.once(path) {
				return true
			}
		} else if answered(client.Get("http://" + back + path)) {
			return true
		}
	}
	return false
}

// work is one piece of a request's work: here, or through the channel.
func work(token, kind string) bool {
	switch mode {
	case "pool", "poolown", "batch":
		j := job{token, kind, make(chan bool, 1)}
		jobs <- j
		return <-j.done
	case "mix":
		return mixed(token, kind)
	case "stages":
		s := stage{token, kind, true, make(chan stage, 1)}
		first <- s
		s = <-s.reply
		return s.ok
	case "own":
		s := <-sockets
		defer func() { sockets <- s }()
		return call(token, kind, s)
	}
	return call(token, kind, nil)
}

func worker() {
	var s *socket
	if mode == "poolown" {
		s = &socket{}
	}
	for j := range jobs {
		think()
		ok := call(j.token, j.kind, s)
		think()
		j.done <- ok
	}
}

// mixed gives a worker one piece of work in one of four ways.
func mixed(token, kind string) bool {
	done := make(chan bool, 1)
	switch rand.Intn(4) {
	case 0:
		jobs <- job{token, kind, done}
	case 1:
		j := recycled.Get().(*job)
		*j = job{token, kind, done}
		pointers <- j
	case 2:
		closures <- func() { done <- call(token, kind, nil) }
	case 3:
		anything <- job{token, kind, done}
	}
	return <-done
}

func anyWorker(period time.Duration) {
	clock := time.NewTicker(period)
	for {
		select {
		case j := <-jobs:
			think()
			j.done <- call(j.token, j.kind, nil)
		case j := <-pointers:
			ok := call(j.token, j.kind, nil)
			done := j.done
			recycled.Put(j)
			think()
			done <- ok
		case f := <-closures:
			f()
		case a := <-anything:
			j := a.(job)
			j.done <- call(j.token, j.kind, nil)
		case <-clock.C:
			call("-", "timer", nil)
		}
	}
}

func firstStage() {
	for s := range first {
		think()
		s.ok = call(s.token, s.kind, nil)
		if rand.Intn(2) == 0 {
			second <- s
			continue
		}
		back := s.reply
		s.reply = make(chan stage, 1)
		second <- s
		s = <-s.reply
		s.ok = call(s.token, s.kind, nil) && s.ok
		back <- s
	}
}

func secondStage() {
	for s := range second {
		think()
		s.ok = call(s.token, s.kind, nil) && s.ok
		s.reply <- s
	}
}

func batcher() {
	for {
		batch := []job{<-jobs}
		late := time.After(time.Duration(thinkMs * float64(time.Millisecond)))
		for more := true; more && len(batch) < 4; {
			select {
			case j := <-jobs:
				batch = append(batch, j)
			case <-late:
				more = false
			}
		}
		out, told := newToken(), map[string]bool{}
		for _, j := range batch {
			if !told[j.token] {
				tell(j.token, out, "shared")
			}
			told[j.token] = true
		}
		ok := answered(client.Get("http://" + back + "/" + backName + "/" + out))
		for _, j := range batch {
			j.done <- ok
		}
	}
}

func startWorkers() {
	for i := 0; i < workers; i++ {
		switch mode {
		case "pool", "poolown":
			go worker()
		case "mix":
			go anyWorker(time.Duration((1 + timerMs) * float64(workers) * float64(time.Millisecond)))
		case "stages":
			go firstStage()
			go secondStage()
		case "batch":
			go batcher()
		}
	}
}

// plan says which calls a request makes, tries after a failure aside.
func plan(usual string) (kinds []string) {
	for i := 0; i < steps; i++ {
		if rand.Float64() < skip {
			continue
		}
		kinds = append(kinds, usual)
		if rand.Float64() < repeat {
			kinds = append(kinds, "repeat")
		}
	}
	return
}

// together makes the calls at once, each in a goroutine of its own, and waits for all.
func together(token string) bool {
	var wg sync.WaitGroup
	kinds := plan("parallel")
	oks := make([]bool, len(kinds))
	for i := range oks {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			think()
			oks[i] = work(token, kinds[i])
		}(i)
	}
	wg.Wait()
	for _, ok := range oks {
		if !ok {
			return false
		}
	}
	return true
}

func handle(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	ok := true
	think()
	if mode == "fanout" || rand.Float64() < parallel {
		ok = together(token)
		think()
	} else {
		for _, kind := range plan("call") {
			ok = work(token, kind) && ok
			think()
		}
	}
	if mode == "collapse" {
		ok = ask(token, rand.Intn(keys)) && ok
	}
	if rand.Float64() < backgr {
		go func() {
			think()
			work(token, "background")
		}()
	}
	if !ok {
		w.WriteHeader(http.StatusBadGateway)
	}
	io.WriteString(w, "ok\n")
}

func timer() {
	for {
		time.Sleep(time.Duration(timerMs * (0.5 + rand.Float64()) * float64(time.Millisecond)))
		work("-", "timer")
	}
}

func main() {
	var err error
	truth, err = os.OpenFile(env("TRUTH", "/dev/null"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	client.Transport = &http.Transport{MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns}
	sockets = make(chan *socket, conns)
	for i := 0; i < conns; i++ {
		sockets <- &socket{}
	}
	startWorkers()
	if timerMs > 0 && mode != "mix" && mode != "batch" {
		go timer()
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		os.Exit(0)
	}()
	log.Fatal(http.ListenAndServe("127.0.0.1:"+env("PORT", "0"), http.HandlerFunc(handle)))
}
