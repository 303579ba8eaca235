import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.cqframework.cql.cql2elm.CqlCompilerException;
import org.cqframework.cql.cql2elm.CqlCompilerOptions;
import org.cqframework.cql.cql2elm.CqlTranslator;
import org.cqframework.cql.cql2elm.DefaultLibrarySourceProvider;
import org.cqframework.cql.cql2elm.LibraryBuilder;
import org.cqframework.cql.cql2elm.LibraryManager;
import org.cqframework.cql.cql2elm.ModelManager;

/** Translates each CQL library of a folder to ELM in another; says where it found what, and exits with 1 on any error. */
public class Translate {
    public static void main(String[] args) throws Exception {
        var from = Path.of(args[0]);
        var into = Path.of(args[1]);
        var options = new CqlCompilerOptions();
        options.setSignatureLevel(LibraryBuilder.SignatureLevel.Overloads);
        var wrong = false;
        for (var file : sorted(from)) {
            var manager = new LibraryManager(new ModelManager(), options);
            manager.getLibrarySourceLoader().registerProvider(new DefaultLibrarySourceProvider(from));
            var translator = CqlTranslator.fromFile(file, manager);
            for (var found : translator.getExceptions()) {
                System.out.println(file.getName() + ": " + found.getSeverity() + " " + place(found) + ": " + found.getMessage());
                wrong |= found.getSeverity() != CqlCompilerException.ErrorSeverity.Info;
            }
            Files.writeString(into.resolve(file.getName().replace(".cql", ".json")), translator.toJson() + "\n");
        }
        System.exit(wrong ? 1 : 0);
    }

    private static File[] sorted(Path folder) {
        var files = folder.toFile().listFiles((where, name) -> name.endsWith(".cql"));
        Arrays.sort(files);
        return files;
    }

    private static String place(CqlCompilerException found) {
        return found.getLocator() == null ? "" : "line " + found.getLocator().getStartLine();
    }
}
