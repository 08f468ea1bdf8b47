//! The text of `objdump -d -C` as functions, and the innermost loops in them.
use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Stdio},
};

/// A function and its instructions, in order of addresses.
pub(crate) struct Function {
    /// The demangled symbol.
    pub(crate) name: String,
    instructions: Vec<Instruction>,
}

/// One instruction in AT&T syntax: the destination comes last.
pub(crate) struct Instruction {
    address: u64,
    mnemonic: String,
    operands: String,
}

/// All functions of an object file or archive.
pub(crate) fn functions(path: &Path) -> Result<Vec<Function>, String> {
    let output = Command::new("objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("objdump: {error} (apt-get install binutils)"))?;
    if !output.status.success() {
        return Err(format!("objdump ended with {}", output.status));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    for line in text.lines() {
        let heading = line.strip_suffix(">:").and_then(|line| line.split_once(" <"));
        if let Some((_, name)) = heading {
            functions.push(Function { name: name.to_owned(), instructions: Vec::new() });
        } else if let (Some(function), Some(instruction)) = (functions.last_mut(), Instruction::parse(line)) {
            function.instructions.push(instruction);
        }
    }
    functions
}

impl Function {
    /// What lies between a backward jump and its target, where no other such stretch lies inside.
    pub(crate) fn innermost_loops(&self) -> Vec<&[Instruction]> {
        let index: HashMap<u64, usize> =
            self.instructions.iter().enumerate().map(|(index, instruction)| (instruction.address, index)).collect();
        let back = |(end, instruction): (usize, &Instruction)| {
            let start = *index.get(&instruction.jump_target()?)?;
            (start <= end).then_some((start, end))
        };
        let loops: Vec<(usize, usize)> = self.instructions.iter().enumerate().filter_map(back).collect();
        let inside = |a: &(usize, usize), b: &(usize, usize)| a != b && a.0 >= b.0 && a.1 <= b.1;
        let innermost = loops.iter().filter(|outer| !loops.iter().any(|inner| inside(inner, outer)));
        innermost.map(|&(start, end)| &self.instructions[start..=end]).collect()
    }
}

impl Instruction {
    /// A line like `1a0: vpdpbusd %zmm1,%zmm2,%zmm3`.
    fn parse(line: &str) -> Option<Instruction> {
        let (address, rest) = line.trim_start().split_once(':')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        // A prefix says only how the instruction is encoded.
        let rest = rest.trim().trim_start_matches("{vex}").trim_start_matches("{evex}").trim_start();
        let (mnemonic, operands) = rest.split_once(' ').unwrap_or((rest, ""));
        let operands = operands.split(['#', '<']).next().unwrap_or_default().trim();
        (!mnemonic.is_empty()).then(|| Instruction { address, mnemonic: mnemonic.into(), operands: operands.into() })
    }

    fn jump_target(&self) -> Option<u64> {
        if self.mnemonic.starts_with('j') { u64::from_str_radix(&self.operands, 16).ok() } else { None }
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, mnemonic: &str) -> bool {
        self.mnemonic == mnemonic
    }

    /// Whether it reads memory.
    pub(crate) fn loads(&self) -> bool {
        let memory = self.operands.contains('(') && !self.mnemonic.starts_with("lea") && !self.is_prefetch();
        memory && (!self.operands.ends_with(')') || self.mnemonic.starts_with("cmp"))
    }

    /// Whether it writes memory.
    pub(crate) fn stores(&self) -> bool {
        self.operands.ends_with(')') && !self.is_prefetch() && !self.mnemonic.starts_with("cmp")
    }

    /// Whether it moves lanes or bytes within or between registers.
    pub(crate) fn shuffles(&self) -> bool {
        let moves =
            ["vpshuf", "vperm", "vpunpck", "vpack", "vshuf", "valign", "vpalign", "vpmov", "vextract", "vinsert"];
        moves.iter().any(|start| self.mnemonic.starts_with(start))
            || self.mnemonic.starts_with("vpbroadcast") && !self.operands.contains('(')
    }

    fn is_prefetch(&self) -> bool {
        self.mnemonic.starts_with("prefetch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
0000000000000000 <<a::Token>::run::<(), a::f<a::Q4>::{closure#0}>>:
   0:\tpush   %rbp
   4:\tvmovdqu64 (%rdi,%rax,1),%zmm1
   8:\t{vex} vpdpbusd 0x40(%rsi),%ymm1,%ymm0
   c:\tvpshufb %zmm2,%zmm3,%zmm4
  10:\tprefetcht0 0x800(%rdi)
  14:\tvpbroadcastd %xmm0,%zmm0
  18:\tjne    4 <a::f+0x4>
  1c:\tcmp    %rax,(%rsp)
  20:\tvmovdqu %ymm0,-0x10(%rsp)
  24:\tjmp    0 <a::f>

0000000000000000 <other>:
   0:\tret
";

    #[test]
    fn innermost_loops_are_found_and_their_instructions_told_apart() {
        let functions = parse(TEXT);
        let names: Vec<_> = functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["<a::Token>::run::<(), a::f<a::Q4>::{closure#0}>", "other"]);
        let loops = functions[0].innermost_loops();
        assert_eq!(loops.len(), 1);
        let count = |what: fn(&Instruction) -> bool| loops[0].iter().filter(|x| what(x)).count();
        assert_eq!((loops[0].len(), count(|x| x.is("vpdpbusd"))), (6, 1));
        assert_eq!((count(Instruction::loads), count(Instruction::stores), count(Instruction::shuffles)), (2, 0, 2));
        let stores = functions[0].instructions.iter().filter(|x| x.stores()).count();
        assert_eq!((stores, functions[1].innermost_loops().len()), (1, 0));
    }
}
