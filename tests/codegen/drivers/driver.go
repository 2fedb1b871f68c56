// Scores the rows of rows.bin, 64-bit floats, into found.bin: of each row its scores, its predictions, its probabilities.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"example.com/codegen/scorer"
)

func main() {
	data, err := os.ReadFile("rows.bin")
	if err != nil {
		panic(err)
	}
	rows := make([]float64, len(data)/8)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, rows); err != nil {
		panic(err)
	}
	var found bytes.Buffer
	for first := 0; first < len(rows); first += scorer.Inputs {
		var row [scorer.Inputs]float64
		copy(row[:], rows[first:])
		input := scorer.InputOfRow(row)
		scores, err := scorer.Score(input)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		predictions, err := scorer.Predict(input)
		if err != nil {
			panic(err)
		}
		numbers := append(append([]float64{}, scores[:]...), predictions[:]...)
		// PROBABILITIES
		if err := binary.Write(&found, binary.LittleEndian, numbers); err != nil {
			panic(err)
		}
	}
	if err := os.WriteFile("found.bin", found.Bytes(), 0o644); err != nil {
		panic(err)
	}
}
