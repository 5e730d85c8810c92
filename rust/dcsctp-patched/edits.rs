// What is changed in dcsctp 0.1.16, and why. Included by build.rs.

const EDITS: &[Edit] = &[
    // 0. Only so that the source can be included: #[macro_export] does not work from an included file.
    edit("socket/state.rs", "#[macro_export]\n", ""),
    edit(
        "socket/state.rs",
        "          _ => unreachable!(),\n      };\n  };\n}\n",
        "          _ => unreachable!(),\n      };\n  };\n}\n\npub(crate) use transition_between;\n",
    ),
    edit("socket/connect.rs", "use crate::transition_between;", "use crate::socket::state::transition_between;"),
    edit("socket/shutdown.rs", "use crate::transition_between;", "use crate::socket::state::transition_between;"),
    // 1. A hex dump of every packet is built even when nothing is logged: 758 000 instructions a packet in place of
    //    17 000.
    edit(
        "lib.rs",
        "sent: bool, data: &[u8]) {\n",
        "sent: bool, data: &[u8]) {\n        if !log::log_enabled!(log::Level::Info) {\n            return;\n        }\n",
    ),
    // 2. A half-sent message that expires is dropped without FORWARD-TSN: the receiver waits for its other half for
    //    ever, and an ordered stream with maxPacketLifeTime dies. A message that has been begun is left to the
    //    retransmission queue, which abandons it properly.
    edit(
        "tx/send_queue.rs",
        "if item.attributes.expires_at <= now {\n                // Oops",
        "if item.mid.is_none() && item.attributes.expires_at <= now {\n                // Oops",
    ),
    // 3. After T3-rtx every loss that is seen below the TSNs outstanding at that time reduces cwnd again: it stays at
    //    one MTU for as long as the overshoot was (2 Mbit/s on a 100 Mbit/s link for more than 20 s). RFC 9260 section
    //    7.2.3 reduces once.
    edit(
        "tx/retransmission_queue.rs",
        "    fast_recovery_exit_tsn: Option<Tsn>,",
        "    fast_recovery_exit_tsn: Option<Tsn>,\n    rto_recover_tsn: Option<Tsn>,",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "            fast_recovery_exit_tsn: None,",
        "            fast_recovery_exit_tsn: None,\n            rto_recover_tsn: None,",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        self.cwnd = self.mtu;\n\n        // Errata",
        "        self.cwnd = self.mtu;\n        self.fast_recovery_exit_tsn = None;\n        self.rto_recover_tsn = Some(self.outstanding_data.highest_outstanding_tsn());\n\n        // Errata",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        if !self.is_in_fast_recovery() {\n            // From",
        "        if let Some(recover) = self.rto_recover_tsn {\n            if self.outstanding_data.last_cumulative_acked_tsn().less_than(recover) {\n                return;\n            }\n            self.rto_recover_tsn = None;\n        }\n        if !self.is_in_fast_recovery() {\n            // From",
    ),
    // 4. CRC32C by table costs 7 000 of 17 000 instructions a packet; the crate crc32c uses the processor's.
    edit(
        "packet/crc32c.rs",
        "        let mut crc = self.0;\n        let (chunks, remainder)",
        "        self.0 = !crc32c::crc32c_append(!self.0, data);\n        return;\n        let mut crc = self.0;\n        let (chunks, remainder)",
    ),
    // 5. Above the watermark even the chunk that fills the first gap is dropped, so that nothing behind it can ever be
    //    delivered: 5 of 22 transfers hung for good with a small socket buffer.
    edit(
        "socket/data.rs",
        "if tcb.reassembly_queue.is_above_watermark() {\n",
        "if tcb.reassembly_queue.is_above_watermark() && !tcb.data_tracker.will_increase_cum_ack_tsn(tsn) {\n",
    ),
    // 6. All ready messages are summed for each DATA chunk: quadratic when the application reads slowly.
    edit(
        "rx/reassembly_queue.rs",
        "    reassembled_messages: VecDeque<Message>,\n",
        "    reassembled_messages: VecDeque<Message>,\n    ready_bytes: usize,\n",
    ),
    edit(
        "rx/reassembly_queue.rs",
        "            reassembled_messages: VecDeque::new(),\n",
        "            reassembled_messages: VecDeque::new(),\n            ready_bytes: 0,\n",
    ),
    edit(
        "rx/reassembly_queue.rs",
        "        self.reassembled_messages.pop_front()\n",
        "        let message = self.reassembled_messages.pop_front();\n        if let Some(message) = &message {\n            self.ready_bytes -= message.payload.len();\n        }\n        message\n",
    ),
    Edit {
        file: "rx/reassembly_queue.rs",
        find: "            self.rx_messages_count += 1;\n",
        put: "            self.rx_messages_count += 1;\n            self.ready_bytes += message.payload.len();\n",
        times: 2,
    },
    edit(
        "rx/reassembly_queue.rs",
        "        let ready_messages_bytes: usize =\n            self.reassembled_messages.iter().map(|m| m.payload.len()).sum();\n",
        "        let ready_messages_bytes = self.ready_bytes;\n",
    ),
    // 7. A message larger than 0.9 of the window stalls the association without a word. With the window full, nothing
    //    ready and no gap to fill, all that is held belongs to messages that can not be completed.
    edit(
        "socket/mod.rs",
        "impl DcSctpSocket for Socket {\n",
        "impl Socket {\n    pub fn is_stuck(&self) -> bool {\n        self.state.tcb().is_some_and(|tcb| {\n            tcb.reassembly_queue.messages_ready_count() == 0\n                && tcb.reassembly_queue.is_above_watermark()\n                && !tcb.data_tracker.has_gaps()\n        })\n    }\n}\n\nimpl DcSctpSocket for Socket {\n",
    ),
    edit(
        "rx/data_tracker.rs",
        "impl DataTracker {\n",
        "impl DataTracker {\n    pub fn has_gaps(&self) -> bool {\n        !self.additional_tsn_blocks.is_empty()\n    }\n\n",
    ),
    // 8. max_timer_backoff_duration is not kept by T1-init, T1-cookie and the timer of stream resets: with 30 % loss an
    //    association took 17 s, its last INIT alone 8 s.
    Edit {
        file: "socket/connect.rs",
        find: "        ctx.options.max_init_retransmits,\n        None,\n",
        put: "        ctx.options.max_init_retransmits,\n        ctx.options.max_timer_backoff_duration,\n",
        times: 2,
    },
    edit(
        "socket/transmission_control_block.rs",
        "                BackoffAlgorithm::Exponential,\n                None,\n                None,\n",
        "                BackoffAlgorithm::Exponential,\n                None,\n                options.max_timer_backoff_duration,\n",
    ),
    // 21. Messages that share packets have to be collected in a Vec for send_many(): a third copy of each, and a Vec that
    //     grows for each batch. queue() puts a message where it belongs, and send_queued() begins to send.
    edit(
        "api/mod.rs",
        "    ) -> Result<(), BatchSendError>;\n\n    /// Resets outgoing streams.\n",
        "    ) -> Result<(), BatchSendError>;\n\n    /// Puts a message into the queue of its stream. It leaves with [`DcSctpSocket::send_queued`], or earlier.\n    fn queue(&mut self, message: Message, send_options: &SendOptions) -> Result<(), SendError>;\n\n    fn send_queued(&mut self);\n\n    /// Resets outgoing streams.\n",
    ),
    edit(
        "socket/mod.rs",
        "    fn send_many(\n",
        "    fn queue(&mut self, message: Message, send_options: &SendOptions) -> Result<(), SendError> {\n        validate_send(&mut self.state, &mut self.ctx, &message, send_options)?;\n        let now = *self.now.borrow();\n        self.ctx.tx_messages_count += 1;\n        self.ctx.send_queue.add(now, message, send_options);\n        Ok(())\n    }\n\n    fn send_queued(&mut self) {\n        let now = *self.now.borrow();\n        self.ctx.send_buffered_packets(&mut self.state, now);\n    }\n\n    fn send_many(\n",
    ),
    // 22. A reset walks over all streams that were ever seen, and FORWARD-TSN over all that ever had an unordered message:
    //     65 534 streams cost a peer 200 kB, and from then on each of its chunks of 8 or 20 bytes costs up to 200 us. A
    //     reset looks up the streams that it names, or forgets all; unordered streams are kept while they hold pieces.
    edit(
        "rx/traditional_reassembly_streams.rs",
        "        for (id, stream) in &mut self.ordered {\n            if streams.is_empty() || streams.contains(id) {\n                self.queued_bytes -= stream.intervals.total_bytes();\n                stream.reset();\n            }\n        }\n",
        "        let forgotten = if streams.is_empty() {\n            std::mem::take(&mut self.ordered).into_values().collect()\n        } else {\n            streams.iter().filter_map(|id| self.ordered.remove(id)).collect::<Vec<_>>()\n        };\n        for stream in forgotten {\n            self.queued_bytes -= stream.intervals.total_bytes();\n        }\n",
    ),
    edit(
        "rx/traditional_reassembly_streams.rs",
        "        for stream in self.unordered.values_mut() {\n            self.queued_bytes -=\n                stream.erase_to(new_cumulative_ack, None::<&SkippedStream>, on_reassembled);\n        }\n",
        "        self.unordered.retain(|_, stream| {\n            self.queued_bytes -=\n                stream.erase_to(new_cumulative_ack, None::<&SkippedStream>, on_reassembled);\n            stream.has_unassembled_chunks()\n        });\n",
    ),
    // 23. FORWARD-TSN that waits for a reset is counted with 4 bytes and takes 60 to 120 of memory.
    edit("rx/reassembly_queue.rs", "        (1 + num_streams) * 4\n", "        64 + num_streams * 8\n"),
];
