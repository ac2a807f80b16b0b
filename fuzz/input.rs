/// The input, taken from its front; zeros when it is used up.
pub struct Input<'i>(pub &'i [u8]);

impl Input<'_> {
    pub fn byte(&mut self) -> u8 {
        let [first, rest @ ..] = self.0 else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn word(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
    }
}
