#pragma once

#include <array>
#include <cstdint>

// Where transformers' tokenizer and utf8proc follow different versions of Unicode: the former
// splits by version 16, lower-cases by 17, and composes by 9; a stable distribution's utf8proc
// does all by 15.
namespace emulsion::models {

struct CodeRange {
  char32_t first, last;
};

// Letters and numbers of Unicode 15.1 and 16.
constexpr std::array kNewLetters{
    CodeRange{0x1C89, 0x1C8A},   CodeRange{0xA7CB, 0xA7CD},   CodeRange{0xA7DA, 0xA7DC},
    CodeRange{0x105C0, 0x105F3}, CodeRange{0x10D4A, 0x10D65}, CodeRange{0x10D6F, 0x10D85},
    CodeRange{0x10EC2, 0x10EC4}, CodeRange{0x11380, 0x11389}, CodeRange{0x1138B, 0x1138B},
    CodeRange{0x1138E, 0x1138E}, CodeRange{0x11390, 0x113B5}, CodeRange{0x113B7, 0x113B7},
    CodeRange{0x113D1, 0x113D1}, CodeRange{0x113D3, 0x113D3}, CodeRange{0x11BC0, 0x11BE0},
    CodeRange{0x13460, 0x143FA}, CodeRange{0x16100, 0x1611D}, CodeRange{0x16D40, 0x16D6C},
    CodeRange{0x18CFF, 0x18CFF}, CodeRange{0x1E5D0, 0x1E5ED}, CodeRange{0x1E5F0, 0x1E5F0},
    CodeRange{0x2EBF0, 0x2EE5D}};
constexpr std::array kNewNumbers{CodeRange{0x10D40, 0x10D49}, CodeRange{0x116D0, 0x116E3},
                                 CodeRange{0x11BF0, 0x11BF9}, CodeRange{0x16130, 0x16139},
                                 CodeRange{0x16D70, 0x16D79}, CodeRange{0x1CCF0, 0x1CCF9},
                                 CodeRange{0x1E5F1, 0x1E5FA}};

// Capital letters of Unicode 16 and 17, and how far away their small ones are.
struct Lowering {
  CodeRange capitals;
  std::int32_t distance;
};
constexpr std::array kNewCapitals{
    Lowering{{0x1C89, 0x1C89}, 1},    Lowering{{0xA7CB, 0xA7CB}, -42343},
    Lowering{{0xA7CC, 0xA7CC}, 1},    Lowering{{0xA7CE, 0xA7CE}, 1},
    Lowering{{0xA7D2, 0xA7D2}, 1},    Lowering{{0xA7D4, 0xA7D4}, 1},
    Lowering{{0xA7DA, 0xA7DA}, 1},    Lowering{{0xA7DC, 0xA7DC}, -42561},
    Lowering{{0x10D50, 0x10D65}, 32}, Lowering{{0x16EA0, 0x16EB8}, 27},
};

// Marks that got their combining class after Unicode 9: composition leaves them where they are.
constexpr std::array kYoungMarks{
    CodeRange{0x7FD, 0x7FD},     CodeRange{0x898, 0x89F},     CodeRange{0x8CA, 0x8D3},
    CodeRange{0x9FE, 0x9FE},     CodeRange{0xC3C, 0xC3C},     CodeRange{0xD3B, 0xD3C},
    CodeRange{0xEBA, 0xEBA},     CodeRange{0x1715, 0x1715},   CodeRange{0x1ABF, 0x1ACE},
    CodeRange{0x1DF6, 0x1DFA},   CodeRange{0xA82C, 0xA82C},   CodeRange{0x10D24, 0x10D27},
    CodeRange{0x10EAB, 0x10EAC}, CodeRange{0x10EFD, 0x10EFF}, CodeRange{0x10F46, 0x10F50},
    CodeRange{0x10F82, 0x10F85}, CodeRange{0x11070, 0x11070}, CodeRange{0x1133B, 0x1133B},
    CodeRange{0x1145E, 0x1145E}, CodeRange{0x11839, 0x1183A}, CodeRange{0x11930, 0x11930},
    CodeRange{0x1193D, 0x1193E}, CodeRange{0x11943, 0x11943}, CodeRange{0x119E0, 0x119E0},
    CodeRange{0x11A34, 0x11A34}, CodeRange{0x11A47, 0x11A47}, CodeRange{0x11A99, 0x11A99},
    CodeRange{0x11D42, 0x11D42}, CodeRange{0x11D44, 0x11D45}, CodeRange{0x11D97, 0x11D97},
    CodeRange{0x11F41, 0x11F42}, CodeRange{0x16FF0, 0x16FF1}, CodeRange{0x1E08F, 0x1E08F},
    CodeRange{0x1E130, 0x1E136}, CodeRange{0x1E2AE, 0x1E2AE}, CodeRange{0x1E2EC, 0x1E2EF},
    CodeRange{0x1E4EC, 0x1E4EF}};

}  // namespace emulsion::models
