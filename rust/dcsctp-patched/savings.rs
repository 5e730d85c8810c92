// What is changed in dcsctp 0.1.16 so that a packet costs fewer instructions. Nothing else on the wire, nothing else
// to the caller. Included by build.rs. The figures are of one bulk sender at 1 % loss, of both ends and the model of the
// link together: `rust/links/examples/cost.rs`.

const SAVINGS: &[Edit] = &[
    // 16. Streams are kept in a tree: the hash that withstands an attacker costs 500 instructions a packet, and 16 bits
    //     of a stream's number give an attacker nothing to win in a tree.
    Edit { file: "tx/send_queue.rs", find: "HashMap", put: "BTreeMap", times: 3 },
    Edit { file: "rx/traditional_reassembly_streams.rs", find: "HashMap", put: "BTreeMap", times: 5 },
    // 17. A piece is lent to the packet that is built, where the original copies it to send it and copies it to keep it;
    //     a message that fits a packet is not copied at all. For the original's tests the old call remains.
    edit(
        "tx/send_queue.rs",
        "        let payload = item\n            .message\n            .payload\n            .get(item.remaining_offset..size + item.remaining_offset)\n            .unwrap()\n            .to_vec();\n",
        r"        let payload = if is_beginning && is_end {
            std::mem::take(&mut item.message.payload)
        } else {
            item.message.payload[item.remaining_offset..size + item.remaining_offset].to_vec()
        };
",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "use crate::packet::data_chunk;\nuse crate::packet::idata_chunk;\n",
        "use crate::packet::data_chunk::{self, DataChunk};\nuse crate::packet::idata_chunk::{self, IDataChunk};\n",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "    pub fn get_chunks_to_send(\n",
        r"    pub fn get_chunks_to_send(
        &mut self,
        now: SocketTime,
        bytes_remaining_in_packet: usize,
        produce: impl FnMut(usize, &[(StreamId, OutgoingMessageId)]) -> Option<DataToSend>,
    ) -> Vec<(Tsn, Data)> {
        let tsns = self.get_tsns_to_send(now, bytes_remaining_in_packet, produce);
        tsns.into_iter().map(|tsn| (tsn, self.outstanding_data.data(tsn).clone())).collect()
    }

    /// Take the data of an outstanding piece. It comes back by `take_back` before anything else happens.
    pub fn lend(&mut self, tsn: Tsn) -> Data {
        std::mem::take(self.outstanding_data.data(tsn))
    }

    pub fn take_back(&mut self, chunk: Chunk) {
        if let Chunk::Data(DataChunk { tsn, data, .. }) | Chunk::IData(IDataChunk { tsn, data, .. }) = chunk {
            *self.outstanding_data.data(tsn) = data;
        }
    }

    pub fn get_tsns_to_send(
",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        mut produce: impl FnMut(usize, &[(StreamId, OutgoingMessageId)]) -> Option<DataToSend>,\n    ) -> Vec<(Tsn, Data)> {\n",
        "        mut produce: impl FnMut(usize, &[(StreamId, OutgoingMessageId)]) -> Option<DataToSend>,\n    ) -> Vec<Tsn> {\n",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        let mut to_be_sent = self.outstanding_data.get_chunks_to_be_retransmitted(now, max_bytes);\n        let packet_bytes_retransmitted: usize = to_be_sent\n",
        "        if max_bytes == 0 {\n            return Vec::new();\n        }\n        let again = self.outstanding_data.get_chunks_to_be_retransmitted(now, max_bytes);\n        let packet_bytes_retransmitted: usize = again\n",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "        max_bytes -= packet_bytes_retransmitted;\n",
        "        max_bytes -= packet_bytes_retransmitted;\n        let mut to_be_sent: Vec<Tsn> = Vec::with_capacity(4);\n        to_be_sent.extend(again.into_iter().map(|(tsn, _)| tsn));\n",
    ),
    edit(
        "tx/retransmission_queue.rs",
        "                    &chunk.data,\n                    now,",
        "                    chunk.data,\n                    now,",
    ),
    edit("tx/retransmission_queue.rs", "self.outstanding_data.insert(\n", "self.outstanding_data.insert_owned(\n"),
    edit("tx/retransmission_queue.rs", "to_be_sent.push((tsn, chunk.data));", "to_be_sent.push(tsn);"),
    edit(
        "tx/retransmission_queue.rs",
        "            let sent_bytes: usize = to_be_sent\n                .iter()\n                .map(|(_, data)| round_up_to_4!(self.data_chunk_header_size + data.payload.len()))\n                .sum();\n            log::debug!(\n                \"Sending TSN {} - {} bytes. unacked_packet_bytes={} ({}),  cwnd={}, rwnd={} ({})\",\n                to_be_sent.iter().map(|(tsn, _)| tsn",
        "            let sent_bytes = self.unacked_packet_bytes().saturating_sub(old_unacked_packet_bytes);\n            log::debug!(\n                \"Sending TSN {} - {} bytes. unacked_packet_bytes={} ({}),  cwnd={}, rwnd={} ({})\",\n                to_be_sent.iter().map(|tsn| tsn",
    ),
    edit(
        "tx/outstanding_data.rs",
        "    pub fn insert(\n",
        r"    /// The data of an outstanding piece.
    pub fn data(&mut self, tsn: Tsn) -> &mut Data {
        let index = tsn.distance_to(self.last_cumulative_tsn_ack) - 1;
        &mut self.outstanding_data[index as usize].data
    }

    pub fn insert(
        &mut self,
        message_id: OutgoingMessageId,
        data: &Data,
        time_sent: SocketTime,
        max_retransmissions: u16,
        expires_at: SocketTime,
        lifecycle_id: Option<LifecycleId>,
    ) -> Option<Tsn> {
        let data = data.clone();
        self.insert_owned(message_id, data, time_sent, max_retransmissions, expires_at, lifecycle_id)
    }

    pub fn insert_owned(
",
    ),
    edit(
        "tx/outstanding_data.rs",
        "        data: &Data,\n        time_sent: SocketTime,\n        max_retransmissions: u16,\n        expires_at: SocketTime,\n        lifecycle_id: Option<LifecycleId>,\n    ) -> Option<Tsn> {\n        // Verify",
        "        data: Data,\n        time_sent: SocketTime,\n        max_retransmissions: u16,\n        expires_at: SocketTime,\n        lifecycle_id: Option<LifecycleId>,\n    ) -> Option<Tsn> {\n        // Verify",
    ),
    edit("tx/outstanding_data.rs", "            data: data.clone(),\n            state: ItemState::InFlight", "            data,\n            state: ItemState::InFlight"),
    edit(
        "socket/context.rs",
        "                let chunks = tcb.retransmission_queue.get_chunks_to_send(",
        r"                let has_work =
                    tcb.retransmission_queue.can_send_data() || self.send_queue.has_data_to_send();
                let tsns = if !has_work { Vec::new() } else { tcb.retransmission_queue.get_tsns_to_send(",
    ),
    edit(
        "socket/context.rs",
        "                        self.send_queue.produce(now, max_size)\n                    },\n                );\n",
        "                        self.send_queue.produce(now, max_size)\n                    },\n                ) };\n",
    ),
    edit("socket/context.rs", "if !chunks.is_empty() {", "if !tsns.is_empty() {"),
    edit(
        "socket/context.rs",
        "                for (tsn, data) in chunks {\n                    builder.add(&tcb.make_data_chunk(tsn, data, set_immediate_sack_bit));\n                }\n",
        r"                for tsn in tsns {
                    let data = tcb.retransmission_queue.lend(tsn);
                    let chunk = tcb.make_data_chunk(tsn, data, set_immediate_sack_bit);
                    builder.add(&chunk);
                    tcb.retransmission_queue.take_back(chunk);
                }
",
    ),
    // 18. A packet without data is as long as it has to be: room for a whole one comes from the slow half of the allocator.
    edit(
        "packet/sctp_packet.rs",
        "        if self.data.is_empty() {\n            self.data.reserve(self.max_packet_size);\n",
        r"        let room = match chunk {
            Chunk::Data(_) | Chunk::IData(_) => self.max_packet_size,
            _ => COMMON_HEADER_SIZE + round_up_to_4!(chunk.as_serializable().serialized_size()),
        };
        if self.data.capacity() < room {
            self.data.reserve_exact(room - self.data.len());
        }
        if self.data.is_empty() {
",
    ),
    // 19. No work for the few packets in which something is sent again, and the room for the gaps of a SACK at once; that
    //     for the chunks of a packet too, which are many when the first one is small.
    edit(
        "packet/sctp_packet.rs",
        "        let mut chunks: Vec<Chunk> = Vec::with_capacity(4);\n",
        r"        let first = usize::from(read_u16_be!(&data[14..16]));
        let mut chunks: Vec<Chunk> = Vec::with_capacity(if first * 4 < data.len() { 12 } else { 4 });
",
    ),
    edit(
        "tx/outstanding_data.rs",
        "        let mut tsns = std::mem::take(&mut self.to_be_retransmitted);\n",
        "        if self.to_be_retransmitted.is_empty() {\n            return Vec::new();\n        }\n        let mut tsns = std::mem::take(&mut self.to_be_retransmitted);\n",
    ),
    edit(
        "rx/data_tracker.rs",
        "        let gap_ack_blocks: Vec<GapAckBlock> = self\n            .additional_tsn_blocks\n",
        "        let gaps = self.additional_tsn_blocks.iter().len().min(self.max_gap_ack_blocks);\n        let mut gap_ack_blocks: Vec<GapAckBlock> = Vec::with_capacity(gaps);\n        let named = self\n            .additional_tsn_blocks\n",
    ),
    edit(
        "rx/data_tracker.rs",
        "                Some(GapAckBlock { start, end })\n            })\n            .collect();\n",
        "                Some(GapAckBlock { start, end })\n            });\n        gap_ack_blocks.extend(named);\n",
    ),
    // 20. No call for a packet that is not logged. (The rest of it stands above: no search for pieces where none waits or
    //     none may leave, as at a receiver that answers.)
    edit(
        "lib.rs",
        "        if !log::log_enabled!(log::Level::Info) {\n            return;\n        }\n",
        r"        if log::log_enabled!(log::Level::Info) {
            write_packet(name, ts, sent, data);
        }
    }

    fn write_packet(name: &str, ts: SocketTime, sent: bool, data: &[u8]) {
",
    ),
    edit("lib.rs", "    pub fn log_packet(", "    #[inline]\n    pub fn log_packet("),
];
