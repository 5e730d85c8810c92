use std::time::Duration;

use adieu_engine::{Algorithm, Certificate, Config, Credentials, Random, Role};

use super::*;
use crate::addresses::Interface;
use crate::gathering::Lookup;

/// Notes what is closed. Each socket that is closed had 3 datagrams that it could not send.
#[derive(Default)]
struct Closing {
    sockets: Vec<u16>,
    ports: Vec<u16>,
    names: Vec<String>,
}

impl Network for Closing {
    type Socket = u16;
    type Stream = u16;
    type Listener = u16;

    fn interfaces(&mut self, _: u64) -> io::Result<Vec<Interface>> {
        Ok(Vec::new())
    }
    fn default_routes(&mut self, _: u64) -> Vec<IpAddr> {
        Vec::new()
    }
    fn bind(&mut self, _: u32, _: Place) -> io::Result<(u16, SocketAddr)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn send(&mut self, _: Instant, _: u16, _: &Batch) -> Sent {
        Sent::Full
    }
    fn close(&mut self, socket: u16) -> usize {
        self.sockets.push(socket);
        3
    }
    fn connect(&mut self, _: Instant, _: Connect) -> io::Result<(u16, Wire)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn send_stream(&mut self, _: Instant, _: u16, _: &Batch) -> Sent {
        Sent::Full
    }
    fn close_stream(&mut self, _: Instant, _: u16) -> usize {
        0
    }
    fn listen(&mut self, ip: IpAddr, port: u16) -> io::Result<(u16, SocketAddr)> {
        Ok((port, SocketAddr::new(ip, port)))
    }
    fn stop_listening(&mut self, listener: u16) {
        self.ports.push(listener);
    }
    fn lingers(&self) -> bool {
        false
    }
    fn resolve(&mut self, _: Lookup) {}
    fn find_name(&mut self, _: Instant, _: u64, _: &str) {}
    fn publish_name(&mut self, _: Instant, ip: IpAddr) -> (Arc<str>, io::Result<()>) {
        (ip.to_string().into(), Ok(()))
    }
    fn withdraw_name(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }
    fn max_segments(&self) -> usize {
        1
    }
}

fn transport(now: Instant) -> HubTransport<Closing> {
    let mut random = Random::new([7; 32]);
    let certificate = Certificate::generate(1_800_000_000, Duration::from_secs(86_400), &mut random);
    let config = Config {
        disconnected_after: Duration::from_secs(5),
        failed_after: Duration::from_secs(15),
        receive_buffer: 1 << 20,
        max_message_size: 1 << 18,
        congestion: Algorithm::Tolerant,
        seed: [7; 32],
    };
    let engine = Transport::new(now, Arc::new(certificate.expect("made")), config);
    let (shared, queue) = (Arc::new(TransportShared::new(1, 1 << 20)), Arc::new(EventQueue::new(None)));
    HubTransport::new(0, (1, 1), shared, queue, engine)
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// A generation with a socket and a TCP port, both on this host.
fn begin(transport: &mut HubTransport<Closing>, now: Instant, number: u32, host: u8) {
    let credentials = Credentials { ufrag: format!("ufrag{number}"), pwd: "a password of 22 letters".into() };
    transport.engine.start_generation(now, number, credentials, Role::Controlling);
    transport.engine.add_host(now, number, address(host, 1000 + u16::from(host)));
    transport.engine.add_tcp_passive(now, number, address(host, 2000 + u16::from(host)));
}

#[test]
fn the_end_of_a_full_socket_of_a_relay_lets_its_transport_send_on() {
    let (now, mut net) = (Instant::now(), Closing::default());
    let mut transport = transport(now);
    Counters::add(&transport.queue.counters.sockets, 1);
    transport.relay_sockets.push((WireKey::Turn(5), address(1, 1), 9));
    transport.is_blocked = true;
    transport.close_wire(now, &mut net, WireKey::Turn(5));
    assert_eq!(net.sockets, [9]);
    assert!(!transport.is_blocked, "nothing else says that there is room again");
    let counters = &transport.queue.counters;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&counters.sockets), count(&counters.dropped_unsent)), (0, 3));
}

#[test]
fn sockets_ports_and_names_go_with_the_last_generation_that_uses_them() {
    let (now, mut net, mut shared) = (Instant::now(), Closing::default(), SharedSockets::new());
    let mut passive = Passive::default();
    let mut transport = transport(now);
    for host in 1..=2 {
        let ip = address(host, 0).ip();
        let local = address(host, 1000 + u16::from(host));
        transport.sockets.push(Held { local, socket: u16::from(host), shared: None });
        Counters::add(&transport.queue.counters.sockets, 1);
        let wish = (ip, 2000 + u16::from(host));
        passive.join(&mut net, wish).expect("listens");
        transport.passive.push(wish);
        transport.name_of(now, &mut net, ip);
    }
    begin(&mut transport, now, 1, 1);
    begin(&mut transport, now, 2, 2);
    begin(&mut transport, now, 3, 2);
    let look = |transport: &mut HubTransport<Closing>, net: &mut Closing, passive: &mut _, shared: &mut _| {
        transport.close_unused(net, shared, passive);
        (net.sockets.clone(), net.ports.clone(), net.names.clone())
    };
    let none = (vec![], vec![], vec![]);
    assert_eq!(look(&mut transport, &mut net, &mut passive, &mut shared), none);
    transport.engine.drop_generation(now, 3);
    assert_eq!(look(&mut transport, &mut net, &mut passive, &mut shared), none, "another one uses them");
    transport.is_blocked = true;
    transport.engine.drop_generation(now, 2);
    let closed = (vec![2], vec![2002], vec!["10.0.0.2".to_owned()]);
    assert_eq!(look(&mut transport, &mut net, &mut passive, &mut shared), closed);
    assert!(!transport.is_blocked);
    assert_eq!((transport.sockets.len(), transport.passive.len(), transport.names.len()), (1, 1, 1));
}
