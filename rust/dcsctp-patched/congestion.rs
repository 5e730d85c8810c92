// What is changed in dcsctp 0.1.16 so that `rust/congestion` decides what is lost, how much may be in flight and when
// it leaves. Included by build.rs. With `Options::congestion` None everything is as the original has it.

const CONGESTION: &[Edit] = &[
    // 9. The switch, and how many gaps a SACK names: with 20 a sender is blind above them, which at 1 % loss bounds its
    //    window to 1000 packets. 128 fit a packet with room to spare.
    edit(
        "api/mod.rs",
        "    pub max_burst: i32,\n",
        "    pub max_burst: i32,\n\n    /// None: as RFC 9260 has it.\n    pub congestion: Option<adieu_congestion::Algorithm>,\n\n    /// Gaps that a SACK names.\n    pub max_gap_ack_blocks: usize,\n",
    ),
    edit(
        "api/mod.rs",
        "            max_burst: 4,\n",
        "            max_burst: 4,\n            congestion: None,\n            max_gap_ack_blocks: 20,\n",
    ),
    edit("rx/data_tracker.rs", ".take(MAX_GAP_ACK_BLOCKS_REPORTED)", ".take(self.max_gap_ack_blocks)"),
    edit(
        "rx/data_tracker.rs",
        "    delayed_ack_max_timeout: Duration,\n}",
        "    delayed_ack_max_timeout: Duration,\n    max_gap_ack_blocks: usize,\n}",
    ),
    edit(
        "rx/data_tracker.rs",
        "            delayed_ack_max_timeout: options.delayed_ack_max_timeout,\n        }",
        "            delayed_ack_max_timeout: options.delayed_ack_max_timeout,\n            max_gap_ack_blocks: options.max_gap_ack_blocks,\n        }",
    ),
    // 10. Each sending is stamped, and the controller hears of what is sent and acknowledged. It counts pieces from 1,
    //     so that no serial arithmetic is needed: `removed` is the number of the last one that has left the queue.
    edit(
        "tx/outstanding_data.rs",
        "    state: ItemState,\n    num_retransmissions: u16,\n}",
        "    state: ItemState,\n    num_retransmissions: u16,\n    stamp: adieu_congestion::Stamp,\n}",
    ),
    edit(
        "tx/outstanding_data.rs",
        "                num_retransmissions: data.retransmission_count,\n",
        "                num_retransmissions: data.retransmission_count,\n                stamp: Default::default(),\n",
    ),
    edit(
        "tx/outstanding_data.rs",
        "#[derive(Debug)]\npub(crate) struct OutstandingData {\n",
        "pub(crate) struct OutstandingData {\n    pub control: Option<Box<adieu_congestion::Control>>,\n    known: adieu_congestion::Known,\n    removed: u64,\n",
    ),
    edit(
        "tx/outstanding_data.rs",
        "        OutstandingData {\n",
        "        OutstandingData {\n            control: None,\n            known: Default::default(),\n            removed: 0,\n",
    ),
    edit(
        "tx/outstanding_data.rs",
        "            self.outstanding_data.pop_front();\n            self.last_cumulative_tsn_ack += 1;\n",
        "            self.outstanding_data.pop_front();\n            self.last_cumulative_tsn_ack += 1;\n            self.removed += 1;\n",
    ),
    edit(
        "tx/outstanding_data.rs",
        "            ack_info.packet_bytes_acked += serialized_size;\n",
        r"            ack_info.packet_bytes_acked += serialized_size;
            if let (Some(control), false) = (&mut self.control, item.is_abandoned()) {
                let (again, was_lost) = (item.has_been_retransmitted(), item.should_be_retransmitted());
                let number = self.removed + u64::from(index) + 1;
                control.on_acked(number, &item.stamp, serialized_size, again, was_lost);
            }
",
    ),
    edit(
        "tx/outstanding_data.rs",
        "                item.mark_as_retransmitted(now);\n",
        r"                item.mark_as_retransmitted(now);
                if let Some(control) = &mut self.control {
                    let number = self.removed + u64::from(index) + 1;
                    let at = now - SocketTime::zero();
                    item.stamp = control.on_sent(at, number, size, true, self.unacked_packet_bytes);
                }
",
    ),
    edit(
        "tx/outstanding_data.rs",
        "        let tsn = self.next_tsn();\n        let item = Item {\n            message_id,\n            max_retransmissions,\n",
        r"        let stamp = match &mut self.control {
            Some(control) if expires_at > time_sent => {
                let number = self.removed + self.outstanding_data.len() as u64 + 1;
                let before = self.unacked_packet_bytes - chunk_size;
                control.on_sent(time_sent - SocketTime::zero(), number, chunk_size, false, before)
            }
            _ => Default::default(),
        };
        let tsn = self.next_tsn();
        let item = Item {
            message_id,
            max_retransmissions,
",
    ),
    edit(
        "tx/outstanding_data.rs",
        "            num_retransmissions: 0,\n        };\n        self.outstanding_data.push_back(item);\n        let item",
        "            num_retransmissions: 0,\n            stamp,\n        };\n        self.outstanding_data.push_back(item);\n        let item",
    ),
    edit(
        "tx/outstanding_data.rs",
        "            num_retransmissions: 0,\n        };\n        self.outstanding_data.push_back(item);\n        self.unsent",
        "            num_retransmissions: 0,\n            stamp: Default::default(),\n        };\n        self.outstanding_data.push_back(item);\n        self.unsent",
    ),
    edit(
        "tx/outstanding_data.rs",
        "impl OutstandingData {\n",
        r"impl OutstandingData {
    /// Stamp and size of a piece that is in flight.
    fn in_flight(&self, number: u64) -> Option<(adieu_congestion::Stamp, usize)> {
        let index = usize::try_from(number.checked_sub(self.removed + 1)?).ok()?;
        let item = self.outstanding_data.get(index).filter(|item| item.is_outstanding())?;
        Some((item.stamp, round_up_to_4!(self.data_chunk_header_size + item.data.payload.len())))
    }

    fn tsn_of(&self, number: u64) -> Tsn {
        self.last_cumulative_tsn_ack.add_to((number - self.removed) as u32)
    }

    /// As `ack_gap_blocks`, but touches only what no SACK has named before.
    fn ack_new_in_gap_blocks(&mut self, gap_ack_blocks: &[GapAckBlock], ack_info: &mut AckInfo) {
        if gap_ack_blocks.is_empty() && self.known.is_empty() {
            return;
        }
        let base = self.removed;
        let end = base + self.outstanding_data.len() as u64 + 1;
        let range = |block: &GapAckBlock| {
            let (first, last) = (base + u64::from(block.start), base + u64::from(block.end));
            (first.min(end), (last + 1).min(end))
        };
        for (from, to) in self.known.learn(base + 1, gap_ack_blocks.iter().map(range)) {
            for number in from..to {
                self.ack_chunk(self.tsn_of(number), ack_info);
            }
        }
    }

    fn detect_losses(&mut self, now: SocketTime) -> bool {
        let Some(mut control) = self.control.take() else { return false };
        let mut found = false;
        while let Some(number) = control.next_lost(self.removed, |number| self.in_flight(number)) {
            self.nack_chunk(now, self.tsn_of(number), true, false);
            found = true;
        }
        self.control = Some(control);
        found
    }

    /// The end of `handle_sack`. Gives the round trip that was measured.
    pub fn finish_sack(&mut self, now: SocketTime, duplicates: usize) -> Option<Duration> {
        let control = self.control.as_mut()?;
        control.on_duplicates(duplicates);
        control.finish(now - SocketTime::zero(), self.unacked_packet_bytes);
        control.round_trip()
    }

    /// True: there may be something to send.
    pub fn handle_control_timers(&mut self, now: SocketTime) -> bool {
        let at = now - SocketTime::zero();
        let Some(control) = &mut self.control else { return false };
        let due = control.handle_timeout(at);
        if due.losses {
            control.begin(at, self.unacked_packet_bytes);
            if self.detect_losses(now) {
                self.finish_sack(now, 0);
            }
        }
        if due.probe && self.has_probe(now) {
            if let Some(control) = &mut self.control {
                control.on_probe(at);
            }
        }
        due != Default::default()
    }

    /// Something to probe a lost tail with: what is lost already, or the newest chunk that may be sent again. A chunk
    /// that may not would be given up although it may only be on its way.
    fn has_probe(&mut self, now: SocketTime) -> bool {
        if self.has_data_to_be_retransmitted() {
            return true;
        }
        let newest = self.outstanding_data.iter().rposition(|item| {
            item.is_outstanding()
                && item.num_retransmissions < item.max_retransmissions
                && !item.has_expired(now)
        });
        let Some(index) = newest else { return false };
        let tsn = self.last_cumulative_tsn_ack.add_to(index as u32 + 1);
        self.nack_chunk(now, tsn, true, false)
    }

",
    ),
    // 11. A SACK costs what is new in it (the original walks the whole window for each: a quarter of all instructions
    //     with many gaps), and losses are found by time, not by counting three SACKs, of which each lost chunk met
    //     three more after it was sent again, so that it was sent four times.
    edit(
        "tx/outstanding_data.rs",
        "        // Erase all items up to cumulative_tsn_ack.\n        self.remove_acked(cumulative_tsn_ack, &mut ack_info);\n",
        r"        if let Some(control) = &mut self.control {
            control.begin(now - SocketTime::zero(), self.unacked_packet_bytes);
        }
        // Erase all items up to cumulative_tsn_ack.
        self.remove_acked(cumulative_tsn_ack, &mut ack_info);
        if self.control.is_some() {
            self.ack_new_in_gap_blocks(gap_ack_blocks, &mut ack_info);
            ack_info.has_packet_loss = self.detect_losses(now);
            return ack_info;
        }
",
    ),
    // 12. The controller's window in place of cwnd; a round trip is measured also while there are gaps (the RTO starved
    //     there); T3-rtx starts anew with any progress, not only with that of the cumulative TSN, which one lost chunk
    //     holds back. What is lost may be sent again whatever the peer's window says: it fills the gap that keeps the
    //     window full. Without that a sender that overfills a queue stands until T3-rtx.
    edit(
        "tx/retransmission_queue.rs",
        "        Self {\n            mtu: options.mtu,",
        r"        let mut outstanding_data = OutstandingData::new(data_chunk_header_size, my_initial_tsn - 1);
        outstanding_data.control = options
            .congestion
            .map(|algorithm| Box::new(adieu_congestion::Control::new(algorithm, options.mtu)));
        Self {
            mtu: options.mtu,",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "            outstanding_data: OutstandingData::new(data_chunk_header_size, my_initial_tsn - 1),\n",
        "            outstanding_data,\n",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        self.t3_rtx.next_expiry()\n    }\n",
        r"        let t3 = self.t3_rtx.next_expiry();
        let control = self.outstanding_data.control.as_ref().and_then(|control| control.next_timeout());
        let Some(at) = control.map(|at| SocketTime::zero() + at) else { return t3 };
        Some(t3.map_or(at, |t3| t3.min(at)))
    }

    /// The controller's timers: losses, pacing, probe. True: there may be something to send.
    pub fn handle_control_timers(&mut self, now: SocketTime) -> bool {
        self.outstanding_data.handle_control_timers(now)
    }

    /// The send queue is empty.
    pub fn on_nothing_to_send(&mut self) {
        let in_flight = self.unacked_packet_bytes();
        if let Some(control) = &mut self.outstanding_data.control {
            control.on_nothing_to_send(in_flight);
        }
    }

    pub fn congestion_report(&self) -> Option<adieu_congestion::Report> {
        self.outstanding_data.control.as_ref().map(|control| control.report())
    }
",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        if sack.cumulative_tsn_ack.greater_than(old_last_cumulative_tsn_ack) {\n",
        r"        if self.outstanding_data.control.is_some() {
            let rtt = self.outstanding_data.finish_sack(now, sack.duplicate_tsns.len());
            let is_progress = ack_info.payload_bytes_acked > 0;
            if is_progress || sack.cumulative_tsn_ack.greater_than(old_last_cumulative_tsn_ack) {
                self.t3_rtx.stop();
            }
            self.start_t3_rtx_if_outstanding_data(now);
            return HandleSackResult::Valid { rtt, reset_error_counter: is_progress };
        }

        if sack.cumulative_tsn_ack.greater_than(old_last_cumulative_tsn_ack) {
",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        if !self.t3_rtx.expire(now) {\n            return false;\n        }\n",
        r"        if !self.t3_rtx.expire(now) {
            return false;
        }
        if let Some(control) = &mut self.outstanding_data.control {
            control.on_timeout(now - SocketTime::zero());
            self.outstanding_data.nack_all(now);
            return true;
        }
",
    ),
    edit("tx/retransmission_queue.rs", "min(self.max_bytes_to_send(), ", "min(self.max_bytes_to_send(now), "),
    edit(
        "tx/retransmission_queue.rs",
        "    fn max_bytes_to_send(&self) -> usize {\n        let left = self.cwnd.saturating_sub(self.unacked_packet_bytes());\n",
        r"    fn max_bytes_to_send(&mut self, now: SocketTime) -> usize {
        let in_flight = self.unacked_packet_bytes();
        let lost_waits = self.outstanding_data.has_data_to_be_retransmitted();
        let left = match &mut self.outstanding_data.control {
            Some(control) => control.allowance(now - SocketTime::zero(), in_flight, lost_waits),
            None => self.cwnd.saturating_sub(in_flight),
        };
        if lost_waits && self.outstanding_data.control.is_some() {
            return left;
        }
",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        max_bytes -= packet_bytes_retransmitted;\n",
        r"        max_bytes -= packet_bytes_retransmitted;
        if self.outstanding_data.control.is_some() && self.unacked_items() > 0 {
            max_bytes = min(max_bytes, round_down_to_4!(self.rwnd()));
        }
",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "    pub fn cwnd(&self) -> usize {\n        self.cwnd\n",
        "    pub fn cwnd(&self) -> usize {\n        self.outstanding_data.control.as_ref().map_or(self.cwnd, |control| control.window())\n",
    ),
    // 13. The socket: the controller's timers, its report, and the I bit on a packet that empties the queue. Without it
    //     a peer delays its SACK, and the probe for a lost tail sends everything twice.
    edit(
        "socket/context.rs",
        "            if builder.is_empty() {\n                break;\n            }\n",
        r"            if builder.is_empty() {
                if let (false, Some(tcb)) = (self.send_queue.has_data_to_send(), state.tcb_mut()) {
                    tcb.retransmission_queue.on_nothing_to_send();
                }
                break;
            }
",
    ),
    edit(
        "socket/context.rs",
        "                let set_immediate_sack_bit = tcb.retransmission_queue.cwnd()\n",
        "                let empties = self.options.congestion.is_some() && !self.send_queue.has_data_to_send();\n                let set_immediate_sack_bit = empties || tcb.retransmission_queue.cwnd()\n",
    ),
    edit(
        "socket/mod.rs",
        "                let heartbeat_timer_expired =\n                    handle_heartbeat",
        "                let control_timer_expired = tcb.retransmission_queue.handle_control_timers(now);\n                let heartbeat_timer_expired =\n                    handle_heartbeat",
    ),
    edit(
        "socket/mod.rs",
        "                    || rtx_timer_expired\n                    || heartbeat",
        "                    || rtx_timer_expired\n                    || control_timer_expired\n                    || heartbeat",
    ),
    edit(
        "socket/mod.rs",
        "impl Socket {\n    pub fn is_stuck(",
        r"impl Socket {
    pub fn congestion_report(&self) -> Option<adieu_congestion::Report> {
        self.state.tcb().and_then(|tcb| tcb.retransmission_queue.congestion_report())
    }

    pub fn is_stuck(",
    ),
    // 14. Never more chunks than half of what 16 bits can number: behind one that is missing a receiver can not tell the
    //     65 536th message from the first (SSN), and a SACK can not name it.
    edit(
        "tx/retransmission_queue.rs",
        "        while max_bytes > self.data_chunk_header_size {\n",
        "        while max_bytes > self.data_chunk_header_size && self.outstanding_data.has_numbers() {\n",
    ),
    edit(
        "tx/outstanding_data.rs",
        "    pub fn is_empty(&self) -> bool {\n",
        "    pub fn has_numbers(&self) -> bool {\n        self.outstanding_data.len() < usize::from(u16::MAX / 2)\n    }\n\n    pub fn is_empty(&self) -> bool {\n",
    ),
    // 15. FORWARD-TSN names the last message that is skipped in each stream, and the search for it began at 0. Of the
    //     numbers above half of the range 0 is the later one: an ordered stream with limited retransmissions stood for
    //     the second half of each 65 536 messages, as soon as one was given up.
    edit(
        "tx/outstanding_data.rs",
        "skipped_per_ordered_stream.entry(item.data.stream_key.id()).or_insert(Ssn(0));",
        "skipped_per_ordered_stream.entry(item.data.stream_key.id()).or_insert(item.data.ssn);",
    ),
    edit(
        "tx/outstanding_data.rs",
        "skipped_per_stream.entry(item.data.stream_key).or_insert(Mid(0));",
        "skipped_per_stream.entry(item.data.stream_key).or_insert(item.data.mid);",
    ),
];
