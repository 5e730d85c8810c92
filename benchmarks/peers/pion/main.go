// pion in the benchmark: the same pipe and the same words as common.py.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"runtime/debug"
	"sort"
	"sync"
	"syscall"
	"time"

	"github.com/pion/webrtc/v4"
)

const high, low = 4 << 20, 1 << 20

type asked struct {
	Do      string  `json:"do"`
	SDP     string  `json:"sdp"`
	Size    int     `json:"size"`
	Count   int     `json:"count"`
	Seconds float64 `json:"seconds"`
}

type figures map[string]float64

type link struct {
	pc      *webrtc.PeerConnection
	channel *webrtc.DataChannel
	open    sync.WaitGroup
	low     chan struct{}
	answers chan []byte
}

func main() {
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<22)
	var l *link
	for lines.Scan() {
		var a asked
		must(json.Unmarshal(lines.Bytes(), &a))
		var said any
		switch a.Do {
		case "version":
			said = version()
		case "offer":
			l = dial()
			l.send()
			said = l.offer()
		case "answer":
			l = dial()
			l.receive()
			said = l.answer(a.SDP)
		case "accept":
			l.accept(a.SDP)
		case "opened":
			l.open.Wait()
		case "blast":
			said = l.blast(a.Size, a.Seconds)
		case "round_trip":
			said = l.roundTrip(a.Size, a.Count)
		case "setup":
			said = setup(a.Count)
		case "close":
			must(l.pc.Close())
		}
		must(out.Encode(said))
	}
}

func dial() *link {
	settings := webrtc.SettingEngine{}
	settings.SetSCTPMaxMessageSize(1 << 20)
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	must(err)
	negotiated, id := true, uint16(0)
	channel, err := pc.CreateDataChannel("bench", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id})
	must(err)
	l := &link{pc: pc, channel: channel, low: make(chan struct{}, 1), answers: make(chan []byte, 1)}
	l.open.Add(1)
	channel.OnOpen(l.open.Done)
	channel.SetBufferedAmountLowThreshold(low)
	channel.OnBufferedAmountLow(func() {
		select {
		case l.low <- struct{}{}:
		default:
		}
	})
	return l
}

func (l *link) offer() string {
	offer, err := l.pc.CreateOffer(nil)
	must(err)
	return l.setLocal(offer)
}

func (l *link) answer(sdp string) string {
	must(l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}))
	answer, err := l.pc.CreateAnswer(nil)
	must(err)
	return l.setLocal(answer)
}

func (l *link) setLocal(description webrtc.SessionDescription) string {
	gathered := webrtc.GatheringCompletePromise(l.pc)
	must(l.pc.SetLocalDescription(description))
	<-gathered
	return l.pc.LocalDescription().SDP
}

func (l *link) accept(sdp string) {
	must(l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}))
}

func (l *link) receive() {
	echo, bytes, messages, used := false, 0, 0, 0.0
	l.channel.OnMessage(func(message webrtc.DataChannelMessage) {
		switch {
		case !message.IsString && echo:
			must(l.channel.Send(message.Data))
		case !message.IsString:
			bytes += len(message.Data)
			messages++
		case string(message.Data) == "start":
			bytes, messages, used = 0, 0, cpu()
		case string(message.Data) == "end":
			said, err := json.Marshal(map[string]any{"bytes": bytes, "messages": messages, "cpu": cpu() - used})
			must(err)
			must(l.channel.SendText(string(said)))
		default:
			echo = string(message.Data) == "echo"
		}
	})
}

func (l *link) send() {
	l.channel.OnMessage(func(message webrtc.DataChannelMessage) { l.answers <- message.Data })
}

func (l *link) blast(size int, seconds float64) figures {
	message := make([]byte, size)
	must(l.channel.SendText("start"))
	used, start := cpu(), time.Now()
	sent := 0
	for time.Since(start).Seconds() < seconds {
		for l.channel.BufferedAmount() > high {
			select {
			case <-l.low:
			case <-time.After(10 * time.Millisecond): // the word may have come just before
			}
		}
		must(l.channel.Send(message))
		sent++
	}
	must(l.channel.SendText("end"))
	var heard map[string]float64
	must(json.Unmarshal(<-l.answers, &heard))
	took := time.Since(start).Seconds()
	if int(heard["messages"]) != sent {
		panic("lost messages")
	}
	total := float64(size * sent)
	return figures{"bytes": total / took, "messages": float64(sent) / took, "cpu": (cpu() - used + heard["cpu"]) / total}
}

func (l *link) roundTrip(size, count int) figures {
	message := make([]byte, size)
	must(l.channel.SendText("echo"))
	times := make([]float64, count)
	for index := range times {
		start := time.Now()
		must(l.channel.Send(message))
		<-l.answers
		times[index] = time.Since(start).Seconds()
	}
	must(l.channel.SendText("quiet"))
	sort.Float64s(times)
	return figures{"median": times[count/2], "p99": times[count*99/100]}
}

func setup(count int) figures {
	times := make([]float64, count)
	for index := range times {
		start := time.Now()
		a, b := dial(), dial()
		a.accept(b.answer(a.offer()))
		a.open.Wait()
		b.open.Wait()
		times[index] = time.Since(start).Seconds()
		must(a.pc.Close())
		must(b.pc.Close())
	}
	sort.Float64s(times)
	return figures{"median": times[count/2], "max": times[count-1]}
}

// cpu is the processor time this process has used, in seconds.
func cpu() float64 {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Sec+used.Stime.Sec) + float64(used.Utime.Usec+used.Stime.Usec)/1e6
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/pion/webrtc/v4" {
			return module.Version[1:]
		}
	}
	return "unknown"
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
