//! Fewer acknowledgements of a burst with losses.
//!
//! While something is missing, the association answers each packet with a SACK of its own (RFC 9260 section 6.7). A peer
//! that counts SACKs, as browsers do, sends all that is missing again with each three of them. After a burst that lost
//! two hundred packets this is a storm of thousands. It fills the peer's own queues, where the repairs are lost, and then
//! only its timer helps, after 0.4 s and 0.8 s. So of the SACKs that would leave together only some do.

use super::packet::Sack;

/// SACKs that leave at once after a new hole: a sender sends again when three have named it.
const EAGER: u32 = 3;
/// Packets that one SACK answers at most: a sender that sends four for each SACK does not become slower.
const MAX_ANSWERED: u32 = 4;

/// Decides which of the SACKs in the queue leave.
#[derive(Default)]
pub struct Answers {
    /// The TSN behind the newest hole.
    hole: Option<u32>,
    /// SACKs that were made since it is the newest.
    made: u32,
    /// How many packets the last SACK in the queue answers.
    answered: u32,
    /// Whether one that says more may take its place: it is not one of the first.
    may_go: bool,
}

impl Answers {
    /// True: `packet` says all that `last` says, the last one in the queue, which need not leave.
    #[inline]
    pub fn supersedes(&mut self, last: Option<&[u8]>, packet: &[u8]) -> bool {
        Sack::alone_in(packet).is_some_and(|sack| self.take(last.and_then(Sack::alone_in), sack))
    }

    fn take(&mut self, last: Option<Sack<'_>>, sack: Sack<'_>) -> bool {
        let hole = sack.behind_newest_hole();
        if hole != self.hole {
            (self.hole, self.made) = (hole, 0);
        }
        self.made += 1;
        let keeps = |last: &Sack<'_>| !last.has_duplicates() || sack.has_duplicates();
        let last = last.filter(keeps);
        let is_repeated = last.is_some_and(|last| last.says_the_same(&sack));
        let supersedes = is_repeated || (last.is_some() && self.may_go && self.answered < MAX_ANSWERED);
        self.answered = match (supersedes, is_repeated) {
            (true, true) => self.answered,
            (true, false) => self.answered + 1,
            (false, _) => 1,
        };
        // Without a hole there is one for each second packet only.
        self.may_go = hole.is_some() && self.made > EAGER;
        supersedes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `gaps`: starts and ends, relative to the cumulative TSN.
    fn sack(cumulative: u32, gaps: &[(u16, u16)], duplicates: &[u32]) -> Vec<u8> {
        let mut value = cumulative.to_be_bytes().to_vec();
        value.extend(100_000u32.to_be_bytes());
        value.extend((gaps.len() as u16).to_be_bytes());
        value.extend((duplicates.len() as u16).to_be_bytes());
        gaps.iter().for_each(|(start, end)| value.extend([start.to_be_bytes(), end.to_be_bytes()].concat()));
        duplicates.iter().for_each(|tsn| value.extend(tsn.to_be_bytes()));
        let mut packet = vec![0; 12];
        packet.extend([3, 0]);
        packet.extend((4 + value.len() as u16).to_be_bytes());
        packet.extend(value);
        packet
    }

    /// The packets that leave, of those that are made in one turn.
    fn leaving(answers: &mut Answers, made: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let mut queue: Vec<Vec<u8>> = Vec::new();
        for packet in made {
            if answers.supersedes(queue.last().map(Vec::as_slice), &packet) {
                queue.pop();
            }
            queue.push(packet);
        }
        queue
    }

    #[test]
    fn the_first_three_of_a_hole_leave_and_then_one_for_each_four_packets_and_the_last() {
        let mut answers = Answers::default();
        let made: Vec<_> = (0..13).map(|at| sack(10, &[(3, 3 + at)], &[])).collect();
        let left = leaving(&mut answers, made.clone());
        let wanted: Vec<_> = [0, 1, 2, 6, 10, 12].map(|at| made[at].clone()).into();
        assert_eq!(left, wanted);
        // A newer hole is named three times at once again.
        let made: Vec<_> = (0..5).map(|at| sack(10, &[(3, 15), (18, 18 + at)], &[])).collect();
        assert_eq!(leaving(&mut answers, made.clone()), [0, 1, 2, 4].map(|at| made[at].clone()));
    }

    #[test]
    fn without_a_hole_every_one_leaves() {
        let made: Vec<_> = (0..9).map(|at| sack(10 + 2 * at, &[], &[])).collect();
        assert_eq!(leaving(&mut Answers::default(), made.clone()), made);
    }

    #[test]
    fn what_came_twice_is_answered_once_in_a_turn() {
        let mut answers = Answers::default();
        let made: Vec<_> = (0..200).map(|at| sack(10, &[], &[at])).collect();
        assert_eq!(leaving(&mut answers, made.clone()), [made[199].clone()]);
        assert_eq!(leaving(&mut answers, made.clone()).len(), 1, "in the next turn too");
    }

    #[test]
    fn a_report_of_what_came_twice_is_not_lost_and_a_packet_with_data_stays() {
        let mut answers = Answers::default();
        let twice = sack(10, &[(3, 9)], &[4]);
        let after = sack(10, &[(3, 9)], &[]);
        assert_eq!(leaving(&mut answers, [twice.clone(), after.clone()]), [twice, after.clone()]);
        let mut with_data = after.clone();
        with_data.extend([0, 3, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 51]);
        assert_eq!(
            leaving(&mut answers, [with_data.clone(), after.clone()]),
            [with_data.clone(), after.clone()]
        );
        assert_eq!(leaving(&mut answers, [after.clone(), with_data.clone()]), [after, with_data]);
    }
}
