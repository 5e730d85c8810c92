// A pion peer under the hand of a test: the commands and events of tests/e2e/lab/peer.py, one JSON object a line.
package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

const maxMessageSize = 1 << 20

type command struct {
	ID        int                      `json:"id"`
	Command   string                   `json:"command"`
	RSA       bool                     `json:"rsa"`
	Lite      bool                     `json:"lite"`
	Label     string                   `json:"label"`
	Init      *webrtc.DataChannelInit  `json:"init"`
	SDP       string                   `json:"sdp"`
	Candidate *webrtc.ICECandidateInit `json:"candidate"`
	Text      *string                  `json:"text"`
	Base64    []byte                   `json:"base64"`
	Size      int                      `json:"size"`
	Count     int                      `json:"count"`
}

type detail map[string]any

type peer struct {
	pc       *webrtc.PeerConnection
	mu       sync.Mutex // guards channels and the pipe
	channels map[string]*webrtc.DataChannel
	out      *json.Encoder
	restart  bool
}

func main() {
	p := &peer{channels: map[string]*webrtc.DataChannel{}, out: json.NewEncoder(os.Stdout)}
	p.write(detail{"event": "hello", "version": version()})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		result, err := p.do(c)
		if err != nil {
			p.write(detail{"id": c.ID, "error": detail{"name": fmt.Sprintf("%T", err), "message": err.Error()}})
			continue
		}
		p.write(detail{"id": c.ID, "result": result})
	}
}

func (p *peer) do(c command) (any, error) {
	switch c.Command {
	case "new":
		return nil, p.create(c.RSA, c.Lite)
	case "channel":
		channel, err := p.pc.CreateDataChannel(c.Label, c.Init)
		if err != nil {
			return nil, err
		}
		p.watch(channel)
		return nil, nil
	case "media":
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			if _, err := p.pc.AddTransceiverFromKind(kind); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "restart":
		p.restart = true
		return nil, nil
	case "offer":
		offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: p.restart})
		if err != nil {
			return nil, err
		}
		return p.setLocal(offer)
	case "answer":
		offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: c.SDP}
		if err := p.pc.SetRemoteDescription(offer); err != nil {
			return nil, err
		}
		answer, err := p.pc.CreateAnswer(nil)
		if err != nil {
			return nil, err
		}
		return p.setLocal(answer)
	case "accept":
		return nil, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: c.SDP})
	case "local":
		return p.pc.LocalDescription().SDP, nil
	case "candidate":
		if c.Candidate == nil {
			return nil, nil // pion reads no end of candidates
		}
		return nil, p.pc.AddICECandidate(*c.Candidate)
	case "send":
		if c.Text != nil {
			return nil, p.channel(c.Label).SendText(*c.Text)
		}
		return nil, p.channel(c.Label).Send(c.Base64)
	case "flood":
		for index := range c.Count {
			message := make([]byte, c.Size)
			message[0], message[1], message[2], message[3] = byte(index>>24), byte(index>>16), byte(index>>8), byte(index)
			if err := p.channel(c.Label).Send(message); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "close_channel":
		return nil, p.channel(c.Label).Close()
	case "close":
		return nil, p.pc.Close()
	case "close_both":
		return nil, errors.Join(p.channel(c.Label).Close(), p.pc.Close())
	case "look":
		return p.look(), nil
	case "settle":
		time.Sleep(150 * time.Millisecond)
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q", c.Command)
}

func (p *peer) create(useRSA, lite bool) error {
	settings := webrtc.SettingEngine{}
	settings.SetSCTPMaxMessageSize(maxMessageSize)
	settings.SetLite(lite)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return err
	}
	configuration := webrtc.Configuration{}
	if useRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		certificate, err := webrtc.GenerateCertificate(key)
		if err != nil {
			return err
		}
		configuration.Certificates = []webrtc.Certificate{*certificate}
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media)).NewPeerConnection(configuration)
	if err != nil {
		return err
	}
	p.pc = pc
	pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			p.tell("candidate", detail{"candidate": nil})
			return
		}
		p.tell("candidate", detail{"candidate": candidate.ToJSON()})
	})
	state := func(kind string, state fmt.Stringer) { p.tell("state", detail{"kind": kind, "state": state.String()}) }
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) { state("connection", s) })
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) { state("ice", s) })
	pc.OnICEGatheringStateChange(func(s webrtc.ICEGatheringState) { state("gathering", s) })
	pc.OnSignalingStateChange(func(s webrtc.SignalingState) { state("signaling", s) })
	pc.OnDataChannel(func(channel *webrtc.DataChannel) {
		p.watch(channel)
		p.tell("datachannel", options(channel))
	})
	return nil
}

func (p *peer) setLocal(description webrtc.SessionDescription) (any, error) {
	if err := p.pc.SetLocalDescription(description); err != nil {
		return nil, err
	}
	return p.pc.LocalDescription().SDP, nil
}

func (p *peer) watch(channel *webrtc.DataChannel) {
	label := channel.Label()
	p.mu.Lock()
	p.channels[label] = channel
	p.mu.Unlock()
	channel.OnOpen(func() { p.tell("open", detail{"label": label, "id": channel.ID()}) })
	channel.OnClose(func() {
		p.tell("close", detail{"label": label, "readyState": channel.ReadyState().String()})
	})
	channel.OnError(func(err error) { p.tell("error", detail{"label": label, "message": err.Error()}) })
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		heard := detail{"label": label, "kind": "binary", "size": len(message.Data), "crc": crc32.ChecksumIEEE(message.Data)}
		if message.IsString {
			heard["kind"] = "text"
			if len(message.Data) < 200 {
				heard["text"] = string(message.Data)
			}
		}
		p.tell("message", heard)
	})
}

func (p *peer) look() detail {
	p.mu.Lock()
	defer p.mu.Unlock()
	channels := detail{}
	for label, channel := range p.channels {
		seen := options(channel)
		seen["readyState"] = channel.ReadyState().String()
		seen["bufferedAmount"] = channel.BufferedAmount()
		channels[label] = seen
	}
	return detail{
		"connection": p.pc.ConnectionState().String(),
		"ice":        p.pc.ICEConnectionState().String(),
		"signaling":  p.pc.SignalingState().String(),
		"sctp":       p.pc.SCTP().State().String(),
		"dtls":       p.pc.SCTP().Transport().State().String(),
		"channels":   channels,
	}
}

func (p *peer) channel(label string) *webrtc.DataChannel {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.channels[label]
}

func (p *peer) tell(event string, d detail) {
	d["event"] = event
	d["at"] = float64(time.Now().UnixMicro()) / 1000
	p.write(d)
}

func (p *peer) write(d detail) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.Encode(d); err != nil {
		os.Exit(0) // the test has gone
	}
}

func options(channel *webrtc.DataChannel) detail {
	return detail{
		"label": channel.Label(), "id": channel.ID(), "ordered": channel.Ordered(), "protocol": channel.Protocol(),
		"maxRetransmits": channel.MaxRetransmits(), "maxPacketLifeTime": channel.MaxPacketLifeTime(),
		"negotiated": channel.Negotiated(),
	}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/pion/webrtc/v4" {
			return module.Version[1:]
		}
	}
	return "unknown"
}
