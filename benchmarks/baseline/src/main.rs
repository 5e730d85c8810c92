//! The bound for the benchmark: the protocol crates in one thread, without Python. Obeys the runner as
//! `../peers/common.py` does.

mod link;

use std::io::BufRead;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use link::Link;
use mio::{Events, Interest, Poll, Token, Waker};
use serde_json::{Value, json};

const HIGH: usize = 4 << 20;
const LINES: Token = Token(usize::MAX);

fn main() {
    let mut world = World::new();
    while let Some(line) = world.line() {
        let asked: Value = serde_json::from_str(&line).expect("JSON");
        let number = |key: &str| asked[key].as_f64().expect("a number");
        let said = match asked["do"].as_str().expect("a command") {
            "version" => json!("Rust only"),
            "offer" => json!(world.add()),
            "answer" => {
                let description = world.add();
                world.links[0].connect(Instant::now(), asked["sdp"].as_str().expect("sdp"), false);
                world.counting = Some(Counter::default());
                json!(description)
            }
            "accept" => {
                world.links[0].connect(Instant::now(), asked["sdp"].as_str().expect("sdp"), true);
                Value::Null
            }
            "opened" => {
                world.until(|world| world.links[0].open);
                Value::Null
            }
            "blast" => world.blast(number("size") as usize, Duration::from_secs_f64(number("seconds"))),
            "round_trip" => world.round_trip(number("size") as usize, number("count") as usize),
            "setup" => world.setup(number("count") as usize),
            _ => Value::Null,
        };
        println!("{said}");
    }
}

struct World {
    poll: Poll,
    events: Events,
    lines: Receiver<String>,
    links: Vec<Link>,
    memory: [Vec<u8>; 8],
    counting: Option<Counter>,
    next: Option<String>,
    ended: bool,
}

/// The receiving side.
#[derive(Default)]
struct Counter {
    echo: bool,
    bytes: usize,
    messages: usize,
    cpu: f64,
}

impl World {
    fn new() -> Self {
        let poll = Poll::new().expect("epoll");
        let waker = Arc::new(Waker::new(poll.registry(), LINES).expect("a waker"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let _ = sender.send(line.expect("text"));
                waker.wake().expect("awake");
            }
            drop(sender);
            waker.wake().expect("awake");
        });
        Self {
            poll,
            events: Events::with_capacity(64),
            lines,
            links: Vec::new(),
            memory: link::memory(),
            counting: None,
            next: None,
            ended: false,
        }
    }

    fn add(&mut self) -> String {
        let mut link = Link::new(Instant::now());
        let token = Token(self.links.len());
        self.poll.registry().register(&mut link.socket, token, Interest::READABLE).expect("registered");
        self.links.push(link);
        self.links[token.0].describe()
    }

    /// The next command; meanwhile everything goes on.
    fn line(&mut self) -> Option<String> {
        self.until(|world| {
            match world.lines.try_recv() {
                Ok(line) => world.next = Some(line),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => world.ended = true,
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
            }
            world.next.is_some() || world.ended
        });
        self.next.take()
    }

    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        for link in &mut self.links {
            link.turn(now);
        }
        let due = self.links.iter_mut().filter_map(Link::due).min();
        let _ = self.poll.poll(&mut self.events, Some(link::wait(now, due)));
        let now = Instant::now();
        for event in self.events.iter().filter(|event| event.token() != LINES) {
            if let Some(link) = self.links.get_mut(event.token().0) {
                link.read(now, &mut self.memory);
            }
        }
        if let Some(counter) = &mut self.counting {
            let link = &mut self.links[0];
            for (text, data) in std::mem::take(&mut link.arrived) {
                counter.hear(link, text, data);
            }
        }
    }

    fn answer(&mut self) -> Vec<u8> {
        self.until(|world| !world.links[0].arrived.is_empty());
        self.links[0].arrived.remove(0).1
    }

    fn blast(&mut self, size: usize, time: Duration) -> Value {
        self.links[0].send(true, b"start".to_vec());
        let (used, start) = (cpu(), Instant::now());
        let mut sent = 0;
        while start.elapsed() < time {
            while self.links[0].buffered() <= HIGH {
                self.links[0].send(false, vec![0; size]);
                sent += 1;
            }
            self.turn();
        }
        self.links[0].send(true, b"end".to_vec());
        let heard: Value = serde_json::from_slice(&self.answer()).expect("JSON");
        let took = start.elapsed().as_secs_f64();
        assert_eq!(heard["messages"], sent, "messages were lost");
        let bytes = (size * sent) as f64;
        let used = cpu() - used + heard["cpu"].as_f64().expect("a number");
        json!({"bytes": bytes / took, "messages": sent as f64 / took, "cpu": used / bytes})
    }

    fn round_trip(&mut self, size: usize, count: usize) -> Value {
        self.links[0].send(true, b"echo".to_vec());
        let times = (0..count).map(|_| {
            let start = Instant::now();
            self.links[0].send(false, vec![0; size]);
            self.answer();
            start.elapsed().as_secs_f64()
        });
        let mut times: Vec<f64> = times.collect();
        self.links[0].send(true, b"quiet".to_vec());
        times.sort_by(f64::total_cmp);
        json!({"median": times[count / 2], "p99": times[count * 99 / 100]})
    }

    fn setup(&mut self, count: usize) -> Value {
        let times = (0..count).map(|_| {
            let start = Instant::now();
            let (offer, answer) = (self.add(), self.add());
            self.links[1].connect(start, &offer, false);
            self.links[0].connect(start, &answer, true);
            self.until(|world| world.links.iter().all(|link| link.open));
            let took = start.elapsed().as_secs_f64();
            self.links.clear();
            took
        });
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        json!({"median": times[count / 2], "max": times[count - 1]})
    }
}

impl Counter {
    fn hear(&mut self, link: &mut Link, text: bool, data: Vec<u8>) {
        match (text, data.as_slice()) {
            (false, _) if self.echo => link.send(false, data),
            (false, _) => {
                self.bytes += data.len();
                self.messages += 1;
            }
            (true, b"start") => *self = Self { cpu: cpu(), ..Self::default() },
            (true, b"end") => {
                let said = json!({"bytes": self.bytes, "messages": self.messages, "cpu": cpu() - self.cpu});
                link.send(true, said.to_string().into_bytes());
            }
            (true, word) => self.echo = word == b"echo",
        }
    }
}

/// Processor time of this process, in seconds.
fn cpu() -> f64 {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills the struct, which is plain numbers and zeroed before.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, used.as_mut_ptr());
        used.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(used.ru_utime) + seconds(used.ru_stime)
}
