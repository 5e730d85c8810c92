//! G.711: eight bits a sample, 8 kHz, by the law of µ or A.

/// 200 ms: more than any sender puts into a packet.
pub const MAX_PAYLOAD: usize = 1600;

const BIAS: i32 = 0x84;
const CLIP: i32 = 32_635;

/// Return the byte of a sample by the law of µ.
pub fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let value = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = 24 - value.leading_zeros() as i32; // value is 0x84 at least, so this is 0 to 7
    let mantissa = value >> (exponent + 3) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

pub fn decode_mu(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = i32::from(byte >> 4 & 7);
    let value = (((i32::from(byte & 0x0f) << 3) + BIAS) << exponent) - BIAS;
    (if byte & 0x80 != 0 { -value } else { value }) as i16
}

/// Return the byte of a sample by the law of A.
pub fn encode_a(sample: i16) -> u8 {
    let (sign, value) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    let value = i32::from(value) >> 3;
    let byte = if value < 32 {
        value >> 1
    } else {
        let exponent = 27 - value.leading_zeros() as i32; // 1 to 7
        exponent << 4 | value >> exponent & 0x0f
    };
    (sign | byte as u8) ^ 0x55
}

pub fn decode_a(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 0x0f));
    let value = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    (if byte & 0x80 != 0 { value } else { -value }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ITU-T G.711 tables 1a and 2a: values at the ends of segments.
    #[test]
    fn bytes_mean_what_the_tables_of_the_standard_say() {
        let mu = [
            (0xff, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
            (0xef, 132),
            (0x8f, 16_764),
            (0x7e, -8),
        ];
        for (byte, value) in mu {
            assert_eq!(decode_mu(byte), value, "µ {byte:#x}");
        }
        for (byte, value) in
            [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256), (0xc5, 264), (0xa5, 16_896)]
        {
            assert_eq!(decode_a(byte), value, "A {byte:#x}");
        }
    }

    #[test]
    fn each_byte_is_the_code_of_its_own_value() {
        for byte in 0..=255 {
            assert_eq!(decode_a(encode_a(decode_a(byte))), decode_a(byte));
            assert_eq!(decode_mu(encode_mu(decode_mu(byte))), decode_mu(byte));
        }
    }

    #[test]
    fn each_sample_comes_back_within_its_step() {
        for sample in i16::MIN..=i16::MAX {
            let step = 16 + i32::from(sample).abs() / 16;
            for back in [decode_mu(encode_mu(sample)), decode_a(encode_a(sample))] {
                assert!((i32::from(back) - i32::from(sample)).abs() <= step, "{sample} became {back}");
            }
        }
    }
}
