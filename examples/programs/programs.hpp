// The programs, all in one binary, so that the engine, which is headers, is compiled once for all of them:
// t5gemma2-generate is a link to t5gemma2, which runs the program of the name that it was called by.
#pragma once

namespace programs {

int bench(int argc, char** argv);
int compare(int argc, char** argv);
int embed(int argc, char** argv);
int generate(int argc, char** argv);
int inspect(int argc, char** argv);
int look(int argc, char** argv);
int preprocess(int argc, char** argv);
int score(int argc, char** argv);
int tokenize(int argc, char** argv);
int trace(int argc, char** argv);

}  // namespace programs
