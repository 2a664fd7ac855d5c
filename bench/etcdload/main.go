// etcdload puts load on an etcd cluster through its own client library, and prints one JSON object.
//
//	etcdload -endpoints host:port,... -mode single|closed|open -bytes 250 -warm 2 -seconds 10
//
// Latency counts from when a put was due; what was answered during the warm-up counts in "total" alone.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	putTimeout      = 10 * time.Second
	singlePauseMax  = 0.06
	goldenRatio     = 0.6180339887498949
	openTick        = time.Millisecond
	connectionsEach = 4
)

// load is one phase and what it has seen.
type load struct {
	clients []*clientv3.Client
	value   string
	opens   time.Time // answers from here on count
	closes  time.Time
	next    atomic.Int64
	errors  atomic.Int64
	total   atomic.Int64
	mutex   sync.Mutex
	seconds []float64
}

// put writes one new key and notes how long after `due` the answer came.
func (l *load) put(client *clientv3.Client, due time.Time) {
	key := fmt.Sprintf("key-%015d", l.next.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	if _, err := client.Put(ctx, key, l.value); err != nil {
		l.errors.Add(1)
		return
	}
	answered := time.Now()
	l.total.Add(1)
	if answered.Before(l.opens) || !answered.Before(l.closes) {
		return
	}
	l.mutex.Lock()
	l.seconds = append(l.seconds, answered.Sub(due).Seconds())
	l.mutex.Unlock()
}

// single sends one put at a time, with pauses that run evenly through an interval.
func (l *load) single() {
	for i := 0; time.Now().Before(l.closes); i++ {
		l.put(l.clients[0], time.Now())
		_, part := math.Modf(float64(i) * goldenRatio)
		time.Sleep(time.Duration(singlePauseMax * part * float64(time.Second)))
	}
}

// closed keeps `workers` puts on their way.
func (l *load) closed(workers int) {
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func(client *clientv3.Client) {
			defer group.Done()
			for time.Now().Before(l.closes) {
				l.put(client, time.Now())
			}
		}(l.clients[i%len(l.clients)])
	}
	group.Wait()
}

// open sends `rate` puts a second, whatever happens; `workers` bounds those on their way.
func (l *load) open(workers int, rate float64) {
	start := time.Now()
	due := make(chan time.Time, int(rate*l.closes.Sub(start).Seconds())+1)
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func(client *clientv3.Client) {
			defer group.Done()
			for at := range due {
				l.put(client, at)
			}
		}(l.clients[i%len(l.clients)])
	}
	for sent := 0; time.Now().Before(l.closes); time.Sleep(openTick) {
		for wanted := int(time.Since(start).Seconds() * rate); sent < wanted && len(due) < cap(due); sent++ {
			due <- start.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
		}
	}
	close(due)
	group.Wait()
}

func connect(endpoints []string) ([]*clientv3.Client, error) {
	var clients []*clientv3.Client
	for i := 0; i < connectionsEach; i++ {
		for _, endpoint := range endpoints {
			client, err := clientv3.New(clientv3.Config{
				Endpoints:   []string{endpoint},
				DialTimeout: putTimeout,
				Logger:      zap.NewNop(),
			})
			if err != nil {
				return nil, err
			}
			clients = append(clients, client)
		}
	}
	return clients, nil
}

func main() {
	endpoints := flag.String("endpoints", "", "host:port of members, joined by commas")
	mode := flag.String("mode", "single", "single, closed or open")
	bytes := flag.Int("bytes", 250, "size of a value")
	warm := flag.Float64("warm", 2, "seconds before answers count")
	seconds := flag.Float64("seconds", 10, "seconds for which answers count")
	workers := flag.Int("workers", 1000, "puts on their way")
	rate := flag.Float64("rate", 100, "puts a second in the open loop")
	first := flag.Int64("first", 0, "number of the first key")
	flag.Parse()
	clients, err := connect(strings.Split(*endpoints, ","))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	now := time.Now()
	opens := now.Add(time.Duration(*warm * float64(time.Second)))
	l := &load{
		clients: clients,
		value:   strings.Repeat("v", *bytes),
		opens:   opens,
		closes:  opens.Add(time.Duration(*seconds * float64(time.Second))),
	}
	l.next.Store(*first)
	switch *mode {
	case "single":
		l.single()
	case "closed":
		l.closed(*workers)
	case "open":
		l.open(*workers, *rate)
	default:
		fmt.Fprintln(os.Stderr, "choose -mode single, closed or open")
		os.Exit(2)
	}
	answer := map[string]any{"seconds": l.seconds, "errors": l.errors.Load(), "total": l.total.Load(), "next": l.next.Load()}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
