// Scores the rows of rows.bin, 64-bit floats, into found.bin: of each row its scores, its predictions, its probabilities.
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

public final class Driver {
    private static void write(ByteArrayOutputStream found, double[] numbers) {
        ByteBuffer bytes = ByteBuffer.allocate(8 * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asDoubleBuffer().put(numbers);
        found.writeBytes(bytes.array());
    }

    public static void main(String[] arguments) throws Exception {
        ByteBuffer rows = ByteBuffer.wrap(Files.readAllBytes(Path.of("rows.bin"))).order(ByteOrder.LITTLE_ENDIAN);
        ByteArrayOutputStream found = new ByteArrayOutputStream();
        double[] row = new double[Scorer.INPUTS];
        while (rows.hasRemaining()) {
            for (int input = 0; input < row.length; input++) {
                row[input] = rows.getDouble();
            }
            try {
                Scorer.Input input = Scorer.inputOfRow(row);
                write(found, Scorer.score(input));
                write(found, Scorer.predict(input));
                // PROBABILITIES
            } catch (Scorer.RefusedException refused) {
                System.err.println(refused.getMessage());
                System.exit(3);
            }
        }
        Files.write(Path.of("found.bin"), found.toByteArray());
    }
}
