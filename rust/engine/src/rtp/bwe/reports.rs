//! Receiver reports alone: where the peer gives no feedback for each packet, they say how much is lost and how long the
//! way is.

use super::arrival::Smallest;

/// Parts lost: up to the first the rate grows, up to the second it grows carefully, above that it falls.
const FEW: f64 = 0.02;
const MANY: f64 = 0.10;
/// How much a report says beside those before it.
const SMOOTHING: f64 = 0.4;
/// Growth a second.
const GROWTH: f64 = 0.08;
const CAREFUL_GROWTH: f64 = 0.04;
/// Seconds that a round trip is longer than the shortest one: a queue.
const QUEUE: f64 = 0.1;
const BACK_OFF: f64 = 0.85;
const PROVEN: f64 = 1.5;
const UNPROVEN: f64 = 50_000.0;

#[derive(Debug, Default)]
pub struct Reports {
    last: Option<f64>,
    shortest: Smallest,
    lost: f64,
}

impl Reports {
    /// The new estimate. `sent`: bits a second that were sent of late.
    pub fn update(&mut self, now: f64, estimate: f64, sent: f64, lost: f64, round_trip: f64) -> f64 {
        let elapsed = (now - self.last.replace(now).unwrap_or(now)).clamp(0.0, 5.0);
        // One report is of few packets.
        self.lost += (lost - self.lost) * SMOOTHING;
        let lost = self.lost;
        let arrived = sent * (1.0 - lost);
        if self.shortest.above(now, round_trip) > QUEUE {
            estimate.min(BACK_OFF * arrived)
        } else if lost > MANY {
            estimate * (1.0 - 0.5 * lost)
        } else {
            let growth = if lost < FEW { GROWTH } else { CAREFUL_GROWTH };
            let ceiling = PROVEN * arrived + UNPROVEN;
            estimate.max((estimate * (1.0 + growth * elapsed)).min(ceiling))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_losses_raise_many_lower_and_a_longer_way_lowers() {
        let mut reports = Reports::default();
        assert_eq!(reports.update(0.0, 1e6, 1e6, 0.0, 0.05), 1e6);
        assert!((reports.update(1.0, 1e6, 1e6, 0.0, 0.05) - 1.08e6).abs() < 1.0);
        assert_eq!(reports.update(2.0, 1e6, 1e5, 0.0, 0.05), 1e6, "what is sent proves no more");
        assert_eq!(reports.update(3.0, 1e6, 1e6, 0.0, 0.25), 8.5e5);
        for at in 4..40 {
            let rate = reports.update(f64::from(at), 1e6, 1e6, 0.05, 0.05);
            assert!((1e6..1.081e6).contains(&rate), "{rate}");
        }
        let rate = (40..60).map(|at| reports.update(f64::from(at), 1e6, 1e6, 0.2, 0.05)).last();
        assert!(rate.is_some_and(|rate| (8.9e5..9.1e5).contains(&rate)), "{rate:?}");
    }
}
