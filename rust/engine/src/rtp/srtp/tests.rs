use super::super::wire::header::NewHeader;
use super::super::wire::rtcp;
use super::*;

const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1, Profile::Aes128Gcm, Profile::Aes256Gcm];

fn pair(profile: Profile) -> (Srtp, Srtp) {
    let (key, salt) = sizes(profile);
    let bytes: Vec<u8> = (0..2 * (key + salt)).map(|at| at as u8).collect();
    let side =
        |is_client| Srtp::new(&Material { profile, bytes: bytes.clone(), is_client }).expect("material");
    (side(true), side(false))
}

fn packet(ssrc: u32, index: u64) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let header = NewHeader {
        payload_type: 111,
        marker: false,
        sequence: index as u16,
        timestamp: 5,
        ssrc,
        has_extension: false,
    };
    header.write(&mut out);
    let size = out.len();
    out.extend_from_slice(b"sound");
    (out, size)
}

fn sealed(srtp: &Srtp, ssrc: u32, index: u64) -> Vec<u8> {
    let (mut out, header) = packet(ssrc, index);
    srtp.seal(&mut out, header, ssrc, index).expect("sealed");
    out
}

fn open(srtp: &mut Srtp, mut packet: Vec<u8>) -> Option<(u64, Vec<u8>)> {
    let header = Header::parse(&packet)?;
    let index = srtp.open(&header, &mut packet)?;
    Some((index, packet))
}

#[test]
fn packets_come_through_once_with_their_index_over_the_wrap_of_the_sequence_number() {
    for profile in PROFILES {
        let (client, mut server) = pair(profile);
        for index in [65_530u64, 65_535, 65_536, 65_534, 70_000, 100_000] {
            let wire = sealed(&client, 7, index);
            assert_eq!(wire.len(), packet(7, index).0.len() + client.overhead());
            assert_eq!(open(&mut server, wire.clone()), Some((index, packet(7, index).0)), "{profile:?}");
            assert_eq!(open(&mut server, wire), None, "{profile:?}: a replay of {index}");
        }
    }
}

#[test]
fn a_changed_bit_anywhere_is_noticed_and_leaves_no_state() {
    for profile in PROFILES {
        let (client, mut server) = pair(profile);
        let wire = sealed(&client, 7, 1);
        for bit in 0..wire.len() * 8 {
            let mut forged = wire.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&mut server, forged), None, "{profile:?}: bit {bit}");
        }
        assert!(server.rtp.live.is_empty());
        for length in 0..wire.len() {
            assert_eq!(open(&mut server, wire[..length].to_vec()), None, "{profile:?}: {length} bytes");
        }
        assert!(open(&mut server, wire).is_some());
    }
}

#[test]
fn the_other_direction_has_other_keys() {
    for profile in PROFILES {
        let (mut client, _) = pair(profile);
        let wire = sealed(&client, 7, 1);
        assert_eq!(open(&mut client, wire), None);
    }
}

#[test]
fn reports_come_through_once_and_none_that_was_changed() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let mut plain = Vec::new();
        rtcp::write_report(&mut plain, 7, None, &[]);
        rtcp::write_cname(&mut plain, 7, "name");
        for _ in 0..3 {
            let mut wire = plain.clone();
            client.seal_rtcp(&mut wire).expect("sealed");
            for bit in 0..wire.len() * 8 {
                let mut forged = wire.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                assert!(!server.open_rtcp(&mut forged), "{profile:?}: bit {bit}");
            }
            for length in 0..wire.len() {
                assert!(!server.open_rtcp(&mut wire[..length].to_vec()));
            }
            let mut opened = wire.clone();
            assert!(server.open_rtcp(&mut opened));
            assert_eq!(opened, plain);
            assert!(!server.open_rtcp(&mut wire), "{profile:?}: a replay");
        }
    }
}

#[test]
fn streams_are_bounded_and_one_that_made_room_is_never_replayed() {
    let (client, mut server) = pair(Profile::Aes128Gcm);
    let first = sealed(&client, 0, 5);
    assert!(open(&mut server, first.clone()).is_some());
    for ssrc in 1..MAX_STREAMS as u32 {
        assert!(open(&mut server, sealed(&client, ssrc, 5)).is_some());
    }
    assert_eq!(open(&mut server, sealed(&client, 1000, 5)), None, "all are in use");
    for index in 6..1100 {
        assert!(open(&mut server, sealed(&client, 1, index)).is_some());
    }
    assert!(open(&mut server, sealed(&client, 1000, 5)).is_some(), "one has been silent for long");
    assert_eq!(server.rtp.live.len(), MAX_STREAMS);
    assert_eq!(open(&mut server, first), None);
    assert!(open(&mut server, sealed(&client, 0, 6)).is_some(), "the next one of it is taken");
}

/// A million packets with SSRCs of their own, all of them forged.
#[test]
fn forged_streams_cost_no_memory() {
    let (_, mut server) = pair(Profile::Aes128Gcm);
    for ssrc in 0..1_000_000u32 {
        let (mut forged, _) = packet(ssrc, 1);
        forged.extend_from_slice(&[0; 16]);
        assert_eq!(open(&mut server, forged), None);
    }
    assert!(server.rtp.live.capacity() == 0 && server.rtp.retired.capacity() == 0);
}
