// Cancels the running publish of an offer and waits for the end:
//
//	go build cancel.go
//	OFFERGATE_URL=https://offergate.example OFFERGATE_API_KEY=... ./cancel OFFER [SECONDS]
//
// Needs Go 1.19 or later, and no module. Exit codes: 0 done, 1 not done, 2 usage, 69 no answer,
// 75 try again later (so said the answer, or SECONDS are over; default 600), 77 not allowed.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"
)

// What matters of an operation, and of a problem.
type answer struct {
	Status                                   any
	Code, Detail, Outcome, OperationLocation string
	Retryable                                bool
	Error                                    struct{ Code, Message string }
	http, retryAfter                         int
}

func finish(code int, format string, values ...any) {
	fmt.Fprintf(os.Stderr, "cancel: "+format+"\n", values...)
	os.Exit(code)
}

func main() {
	base, seconds := os.Getenv("OFFERGATE_URL"), 600
	offer := regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	var err error
	if len(os.Args) == 3 {
		seconds, err = strconv.Atoi(os.Args[2])
	}
	if n := len(os.Args); n < 2 || n > 3 || err != nil || !offer.MatchString(os.Args[1]) ||
		os.Args[1] == "." || os.Args[1] == ".." {
		finish(2, "usage: cancel OFFER [SECONDS]")
	}
	if base == "" || os.Getenv("OFFERGATE_API_KEY") == "" {
		finish(2, "set OFFERGATE_URL and OFFERGATE_API_KEY")
	}
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	// The same key means the same cancel: when an answer is lost, the request can be repeated safely.
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		finish(1, "%v", err)
	}
	method, url, key := "POST", base+"/offers/"+os.Args[1]+"/cancel", fmt.Sprintf("%q", fmt.Sprintf("%x", random))
	last, lost := "nothing was answered", 0
	for time.Until(deadline) > 0 {
		a, err := send(method, url, key, time.Until(deadline))
		if err != nil {
			if lost++; lost == 5 {
				finish(69, "no answer from the gateway: %v", err)
			}
			time.Sleep(time.Duration(lost) * time.Second)
			continue
		}
		lost = 0
		switch ok := a.http < 300; {
		case ok && a.Status == "Succeeded":
			finish(0, "Succeeded: %s", a.Outcome)
		case ok && (a.Status == "Failed" || a.Status == "Canceled"):
			finish(1, "%s: %s", a.Error.Code, a.Error.Message)
		case ok:
			last = fmt.Sprintf("%v, %s", a.Status, a.OperationLocation)
		default:
			last = a.Code + ": " + a.Detail
		}
		if a.http == 401 || a.http == 403 {
			finish(77, "%s", last)
		}
		if !a.Retryable {
			if a.OperationLocation == "" {
				finish(1, "%s", last)
			}
			// Running, or perhaps running (502 portal-failed): only ask from now on.
			method, url, key = "GET", a.OperationLocation, ""
		}
		pause := time.Duration(a.retryAfter) * time.Second
		if left := time.Until(deadline); pause > left {
			pause = left
		}
		time.Sleep(pause)
	}
	finish(75, "%d s are over; %s", seconds, last)
}

// One request, of which the gateway may hold the answer until the operation has ended.
func send(method, url, key string, left time.Duration) (a answer, err error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return a, err
	}
	wait := 50 * time.Second
	if left < wait {
		wait = left.Truncate(time.Second) + time.Second
	}
	request.Header.Set("X-Api-Key", os.Getenv("OFFERGATE_API_KEY"))
	request.Header.Set("Prefer", fmt.Sprintf("wait=%d", wait/time.Second))
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	// A redirect would carry the API key to another address.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := http.Client{Timeout: wait + 15*time.Second, CheckRedirect: stay}
	response, err := client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&a)
	if err == nil && a.Code == "" && (a.Status == nil || response.StatusCode > 299) {
		err = fmt.Errorf("HTTP %d is not from the gateway", response.StatusCode)
	}
	a.http = response.StatusCode
	if a.retryAfter, _ = strconv.Atoi(response.Header.Get("Retry-After")); a.retryAfter < 1 {
		a.retryAfter = 1
	}
	return a, err
}
